"""The small text files of the kernel that counters are read from. Pure; anything unexpected is DamagedFile."""

import re
from typing import Final

COUNTER_MAX: Final = 2**62
_NUMBER: Final = re.compile(r"[0-9]{1,19}", re.ASCII)
_NET_FIELDS: Final = 16
_NET_TRANSMITTED: Final = 8


class DamagedFile(ValueError):
    """A counter file does not hold what the kernel writes there."""


def parse_number(text: str) -> int:
    """One counter: decimal digits, not negative and not absurd."""
    word = text.strip()
    if _NUMBER.fullmatch(word) is None or (number := int(word)) > COUNTER_MAX:
        raise DamagedFile(f"not a counter: {word[:40]!r}")
    return number


def parse_keyed(text: str, key: str) -> int:
    """The counter of `key` in a file of lines `key number`."""
    for line in text.splitlines():
        name, _, number = line.partition(" ")
        if name == key:
            return parse_number(number)
    raise DamagedFile(f"there is no {key}")


def parse_net_dev(text: str) -> tuple[int, int]:
    """Received and transmitted bytes of /proc/<pid>/net/dev, summed over all interfaces but the loopback."""
    received = transmitted = 0
    lines = text.splitlines()
    if len(lines) < 2 or "|" not in lines[0]:  # noqa: PLR2004 - two lines of heading
        raise DamagedFile("not a table of interfaces")
    for line in lines[2:]:
        name, colon, figures = line.rpartition(":")
        fields = figures.split()
        if not colon or len(fields) != _NET_FIELDS:
            raise DamagedFile(f"not an interface: {line[:40]!r}")
        if name.strip() != "lo":
            received += parse_number(fields[0])
            transmitted += parse_number(fields[_NET_TRANSMITTED])
    if max(received, transmitted) > COUNTER_MAX:
        raise DamagedFile("absurd byte counts")
    return received, transmitted


def parse_cgroup_path(text: str, controller: str, container_id: str) -> str:
    """The path of a controller's group in /proc/<pid>/cgroup; `controller` is empty for the one group of version 2.

    A path that does not name the container (the process id went to somebody else), or that leads out of the tree
    (we are in a namespace of our own), is refused.
    """
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        controllers, colon, path = rest.partition(":")
        if not colon or controller not in controllers.split(","):
            continue
        if container_id not in path or ".." in path.split("/") or not path.startswith("/"):
            raise DamagedFile("the process is not in the container's group")
        return path
    raise DamagedFile(f"no group of controller {controller!r}")
