"""Makes the demo image on an engine that cannot pull one: a static busybox of this machine and one script.

Promises: nothing is downloaded; an image of the same content is not made twice. The script takes the parameters of
the built-in demo workload, and any shell command can be run in the image instead of it.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from helvetia.containers.docker.engine import DockerEngine, EngineRefusal
from helvetia.containers.docker_host import DockerHost
from helvetia.containers.errors import HostUnavailable

DEMO_IMAGE: Final = "helvetia/demo:latest"
BUSYBOX_PATHS: Final = (Path("/usr/bin/busybox"), Path("/bin/busybox"))
DIGEST_LABEL: Final = "helvetia.demo_digest"
IMPORT_MAX_S: Final = 60
_BUSYBOX_MAX_BYTES: Final = 32 * 2**20
_NOT_FOUND: Final = 404
_PROGRAM_INTERPRETER: Final = 3
_APPLETS: Final = tuple(
    """
    awk base64 basename cat chmod chown cp cut date dd df dirname du echo env expr false find free grep head hostname
    id ip kill killall ln logger ls md5sum mkdir mktemp mount mv nc netstat nproc nslookup ping printf ps pwd readlink
    rm rmdir sed seq sh sha256sum sleep sort stat syslogd tail tar tee test time timeout top touch tr true truncate
    uname uniq uptime usleep vi wc wget which whoami xargs yes
    """.split()  # noqa: SIM905 - a list of seventy quoted words is harder to read
)
_FOLDERS: Final = {"bin": 0o755, "data": 0o777, "dev": 0o755, "etc": 0o755, "root": 0o700, "tmp": 0o1777}

DEMO_SCRIPT: Final = """#!/bin/sh
# A workload with known use. MEMORY_MB is held resident, DISK_MB and VOLUME_MB (into VOLUME_PATH) are written once,
# SEND_BYTES_PER_S go by TCP to SEND_TO (host:port), or else, about as many, as datagrams of 269 bytes to the gateway,
# CPU is the busy part of one core, about, RUN_SECONDS ends it with EXIT_CODE.
stop() { trap '' TERM; kill -TERM 0 2>/dev/null; exit "$1"; }
trap 'stop 0' TERM INT
[ "${DISK_MB:-0}" -gt 0 ] && dd if=/dev/zero of=/data/demo.bin bs=1048576 count="$DISK_MB" 2>/dev/null
[ "${VOLUME_MB:-0}" -gt 0 ] && dd if=/dev/zero of="${VOLUME_PATH:-/data}/demo.vol" bs=1048576 count="$VOLUME_MB" \
2>/dev/null
if [ "${MEMORY_MB:-0}" -gt 0 ]; then
    bytes=$((MEMORY_MB * 1048576))
    { head -c "$bytes" /dev/zero; exec sleep 1000000000; } | tail -c "$bytes" >/dev/null &
fi
rate=${SEND_BYTES_PER_S:-0}
if [ "$rate" -gt 0 ] && [ -n "$SEND_TO" ]; then
    while :; do
        { while :; do head -c "$rate" /dev/zero; sleep 1; done; } | nc -w 5 "${SEND_TO%:*}" "${SEND_TO##*:}"
        sleep 1
    done >/dev/null 2>&1 &
elif [ "$rate" -gt 0 ]; then
    syslogd -R "$(ip route | awk '/^default/ { print $3 }'):9" -O /dev/null
    line=$(head -c 200 /dev/zero | tr '\\0' x)
    while :; do yes "$line" | head -n "$(((rate + 134) / 269))" | logger; sleep 1; done &
fi
loops=$(echo "${CPU:-0}" | awk '{ printf "%d", $1 * 1000000 }')
if [ "$loops" -gt 0 ]; then
    while :; do
        awk -v n="$loops" 'BEGIN { for (i = 0; i < n; i++) x += i }'
        sleep "$(echo "$CPU" | awk '{ printf "%.3f", $1 < 1 ? 1 - $1 : 0 }')"
    done &
fi
sleep "${RUN_SECONDS:-1000000000}" &
wait $!
stop "${EXIT_CODE:-0}"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoImage:
    """Whether the image is there now; if not, why. True in a condition iff it is."""

    is_ready: bool
    reason: str

    def __bool__(self) -> bool:
        return self.is_ready


async def ensure_demo_image(host: DockerHost, busybox_paths: Sequence[Path] = BUSYBOX_PATHS) -> DemoImage:
    """Make the image unless it is there.

    Raises:
        HostUnavailable: the engine does not answer.
    """
    program, reason = find_static_busybox(busybox_paths)
    present_digest = await _digest_of(host.engine)
    if program is None:
        return DemoImage(is_ready=present_digest is not None, reason=reason)
    archive = demo_archive(program)
    digest = hashlib.sha256(archive).hexdigest()
    if present_digest == digest:
        return DemoImage(is_ready=True, reason="it is there")
    failure = await _import(host.engine, archive, digest)
    return DemoImage(is_ready=failure is None, reason=failure or "it was made")


def find_static_busybox(paths: Sequence[Path]) -> tuple[bytes | None, str]:
    """The first static busybox among these, or why there is none."""
    reasons = [f"there is no {' or '.join(str(path) for path in paths)}"]
    for path in paths:
        if path.is_file() and path.stat().st_size <= _BUSYBOX_MAX_BYTES:
            program = path.read_bytes()
            if is_static_elf(program):
                return program, ""
            reasons.append(f"{path} is not a static program")
    return None, reasons[-1]


def is_static_elf(program: bytes) -> bool:
    """Whether this is a 64-bit little-endian ELF program that asks for no dynamic loader."""
    if program[:6] != b"\x7fELF\x02\x01" or len(program) < 64:  # noqa: PLR2004 - the size of an ELF header
        return False
    table, size, count = (int.from_bytes(program[a:b], "little") for a, b in ((32, 40), (54, 56), (56, 58)))
    kinds = [int.from_bytes(program[table + n * size : table + n * size + 4], "little") for n in range(count)]
    return bool(kinds) and _PROGRAM_INTERPRETER not in kinds


def demo_archive(busybox: bytes) -> bytes:
    """The image's one layer as a tar; the same bytes for the same busybox."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, mode in _FOLDERS.items():
            archive.addfile(_member(name, tarfile.DIRTYPE, mode))
        for name, content, mode in (
            ("bin/busybox", busybox, 0o755),
            ("bin/demo", DEMO_SCRIPT.encode(), 0o755),
            ("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n", 0o644),
            ("etc/group", b"root:x:0:\n", 0o644),
        ):
            member = _member(name, tarfile.REGTYPE, mode)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for applet in _APPLETS:
            link = _member(f"bin/{applet}", tarfile.SYMTYPE, 0o777)
            link.linkname = "busybox"
            archive.addfile(link)
    return target.getvalue()


def _member(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = kind
    member.mode = mode
    return member


async def _digest_of(engine: DockerEngine) -> str | None:
    try:
        image = await engine.get(f"images/{DEMO_IMAGE}/json")
    except EngineRefusal as refusal:
        if refusal.status == _NOT_FOUND:
            return None
        raise HostUnavailable(f"The container engine failed: {refusal.message}") from refusal
    return str((image["Config"].get("Labels") or {}).get(DIGEST_LABEL, ""))


async def _import(engine: DockerEngine, archive: bytes, digest: str) -> str | None:
    """What went wrong, or None."""
    name, _, tag = DEMO_IMAGE.partition(":")
    changes = f'CMD ["/bin/demo"]\nENV PATH=/bin\nLABEL {DIGEST_LABEL}={digest}'
    params = {"fromSrc": "-", "repo": name, "tag": tag, "changes": changes}
    try:
        async for line in engine.lines(
            "images/create",
            method="POST",
            params=params,
            data=archive,
            content_type="application/x-tar",
            silence_max_s=IMPORT_MAX_S,
        ):
            answer = json.loads(line)
            if "error" in answer:
                return f"the engine did not take it: {answer['error']}"
    except EngineRefusal as refusal:
        return f"the engine did not take it: {refusal.message}"
    return None if await _digest_of(engine) == digest else "the engine did not finish it"
