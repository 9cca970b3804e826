"""Container → sample by packet counters in the host's firewall (nftables).

One table of our own, which only counts and decides nothing: what leaves the engine's bridge passes FORWARD or INPUT,
what stays on it does not leave through another interface. A counter an address, made by the first packet. The table
outlives us, like the containers; `nft delete table inet helvetia_egress` removes it. Where it was lost beside us (a
firewall that was loaded anew), it is made again with the counters that we read last, so that they go on. Every command
is bounded in time; without the program or the rights there is no answer, said once.
"""

import asyncio
import contextlib
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import structlog

from helvetia.kernel.clock import Clock, to_ns
from helvetia.metering.readers.egress import EgressCount

TABLE: Final = "helvetia_egress"
COMMAND_MAX_S: Final = 3.0
ADDRESSES_MAX: Final = 65_535
COUNTER_MAX: Final = 2**62
_SINCE: Final = re.compile(r"since ([0-9]{1,19}) on ([a-zA-Z0-9_.-]{1,15})", re.ASCII)
_RULES: Final = """
add table inet {table}
add set inet {table} sent {{ type ether_addr; size {size}; flags dynamic,timeout; timeout 35d; }}
add chain inet {table} forward {{ type filter hook forward priority -10; policy accept; }}
add chain inet {table} input {{ type filter hook input priority -10; policy accept; }}
add rule inet {table} forward iifname "{bridge}" oifname != "{bridge}" update @sent {{ ether saddr counter }} \
comment "since {since} on {bridge}"
add rule inet {table} input iifname "{bridge}" update @sent {{ ether saddr counter }}
"""

_COUNTERS: Final = "add element inet {table} sent {{ {elements} }}\n"

_log = structlog.get_logger(__name__)


class NftEgress:
    """The counters of one bridge. Installations on one machine share the table: each container has its own address."""

    def __init__(self, clock: Clock, *, bridge: str = "docker0", table: str = TABLE) -> None:
        self._clock = clock
        self._bridge = bridge
        self.table = table
        self._said = False
        self._last: EgressCount | None = None
        self._last_ns = 0

    async def read(self) -> EgressCount | None:
        """Raises nothing; makes the table when it is not there."""
        read_ns = to_ns(self._clock.wall())
        # Asked twice: one that was only slow to answer loses nothing.
        count = await self._list() or await self._list()
        if count is None and await self._install(read_ns):
            lost_after_ns = None if self._last is None else self._last_ns
            count = await self._list()
            count = None if count is None else replace(count, lost_after_ns=lost_after_ns)
        if count is not None:
            self._last, self._last_ns = count, read_ns
        return count

    async def _list(self) -> EgressCount | None:
        listed = await self._run("-j", "list", "table", "inet", self.table)
        return None if listed is None else parse_count(listed, self._bridge)

    async def _install(self, now_ns: int) -> bool:
        """The table, with the counters that were read last: whoever began since then is counted from here on."""
        last = EgressCount(since_ns=now_ns, bytes_by_mac={}) if self._last is None else self._last
        rules = _RULES.format(table=self.table, size=ADDRESSES_MAX, bridge=self._bridge, since=last.since_ns)
        stale = f"add table inet {self.table}\ndelete table inet {self.table}\n"
        counters = ", ".join(f"{mac} counter packets 0 bytes {sent}" for mac, sent in last.bytes_by_mac.items())
        known = _COUNTERS.format(table=self.table, elements=counters) if counters else ""
        if await self._run("-f", "-", given=stale + rules.replace("\\\n", "") + known) is None:
            return False
        if self._last is not None:
            _log.warning("metering.egress_restored", addresses=len(last.bytes_by_mac), lost_after_ns=self._last_ns)
        return True

    async def _run(self, *arguments: str, given: str = "") -> str | None:
        try:
            process = await asyncio.create_subprocess_exec(
                "nft",
                *arguments,
                stdin=asyncio.subprocess.PIPE if given else asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            self._say(str(error))
            return None
        try:
            async with asyncio.timeout(COMMAND_MAX_S):
                told, complaint = await process.communicate(given.encode() if given else None)
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            if isinstance(error, TimeoutError):
                self._say("nft did not answer in time")
                return None
            raise
        if process.returncode != 0:
            if given:
                self._say(complaint.decode(errors="replace").strip()[:200])
            return None
        return told.decode(errors="replace")

    def _say(self, why: str) -> None:
        if not self._said:
            self._said = True
            _log.info("metering.egress_not_split", why=why, consequence="all bytes that a container sends count")


def parse_count(text: str, bridge: str) -> EgressCount | None:
    """What `nft -j list table` tells; None when this is not our table, or not whole."""
    try:
        items = json.loads(text)["nftables"]
        sinces = [match for item in items if (match := _SINCE.fullmatch(item.get("rule", {}).get("comment", "")))]
        elements = [one for item in items for one in item.get("set", {}).get("elem", ())]
        counts = dict(_count(element) for element in elements)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    if len(sinces) != 1 or sinces[0][2] != bridge or any(not 0 <= count <= COUNTER_MAX for count in counts.values()):
        return None
    return EgressCount(since_ns=int(sinces[0][1]), bytes_by_mac=counts)


def _count(element: Mapping[str, Any]) -> tuple[str, int]:
    one = element["elem"]
    return str(one["val"]).lower(), int(one["counter"]["bytes"])
