import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from helvetia.containers.model import ContainerCounters, ContainerRecord, ContainerState
from helvetia.kernel.clock import ManualClock
from helvetia.kernel.identity import new_account_id, new_service_id
from helvetia.metering.readers.counter_files import (
    DamagedFile,
    parse_cgroup_path,
    parse_keyed,
    parse_net_dev,
    parse_number,
)
from helvetia.metering.readers.egress import EgressCount, with_external
from helvetia.metering.readers.nft_egress import NftEgress, parse_count

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
CONTAINER = "668f331d356ce17ec004ac99af0b9925e5df4ed1362aca267006499bf815d4d7"

RECORD = ContainerRecord(
    container_id=CONTAINER,
    account_id=new_account_id(),
    service_id=new_service_id(),
    revision=1,
    replica=0,
    state=ContainerState.RUNNING,
    created_ns=1,
    started_ns=100,
    finished_ns=None,
    restart_count=0,
    exit_code=None,
    oom_killed=False,
    process_id=1,
)


def fixture(name: str) -> str:
    return (FIXTURES / name).read_text()


def test_number_is_read() -> None:
    assert parse_number(fixture("cgroup_v1/memory.usage_in_bytes")) == 70_148_096
    assert parse_number(str(2**62)) == 2**62


@pytest.mark.parametrize(
    "text",
    ["", "-1", "+1", "1_000", "1 2", "0x10", "1.0", "max", "٣", "9" * 20, str(2**62 + 1), "1\n2", "NaN"],
)
def test_what_is_no_counter_is_refused(text: str) -> None:
    with pytest.raises(DamagedFile):
        parse_number(text)


def test_m12_inactive_file_cache_is_found_in_both_versions() -> None:
    assert parse_keyed(fixture("cgroup_v1/memory.stat"), "total_inactive_file") == 757_760
    assert parse_keyed(fixture("cgroup_v2/memory.stat"), "inactive_file") == 757_760
    assert parse_keyed(fixture("cgroup_v2/cpu.stat"), "usage_usec") == 430_229


@pytest.mark.parametrize("text", ["", "total_inactive_file", "total_inactive_file -5", "inactive_file 7\n", "\0\0"])
def test_key_that_is_not_there_or_damaged_is_refused(text: str) -> None:
    with pytest.raises(DamagedFile):
        parse_keyed(text, "total_inactive_file")


def test_bytes_are_summed_over_interfaces_without_the_loopback() -> None:
    table = fixture("cgroup_v1/net_dev")
    assert parse_net_dev(table) == (736, 0)
    more = "  eth1:     100       1    0    0    0     0          0         0       40       1    0 0 0 0 0 0\n"
    noisy_loopback = "    lo: 5 1 0 0 0 0 0 0 5 1 0 0 0 0 0 0\n"
    assert parse_net_dev(table + more + noisy_loopback + "br-a:b: 1 0 0 0 0 0 0 0 2 0 0 0 0 0 0 0\n") == (837, 42)


@pytest.mark.parametrize(
    "line",
    [
        "eth0",
        "eth0: 1 2 3",
        "eth0: -1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0",
        f"eth0: {2**62 + 1} 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0",
    ],
)
def test_damaged_table_of_interfaces_is_refused(line: str) -> None:
    with pytest.raises(DamagedFile):
        parse_net_dev(fixture("cgroup_v1/net_dev") + line + "\n")


@pytest.mark.parametrize("text", ["", "eth0: 1", "one\ntwo\n"])
def test_no_table_of_interfaces_is_refused(text: str) -> None:
    with pytest.raises(DamagedFile):
        parse_net_dev(text)


def test_path_of_the_group_is_found_in_both_versions() -> None:
    assert parse_cgroup_path(fixture("cgroup_v1/proc_cgroup"), "memory", CONTAINER) == f"/docker/{CONTAINER}"
    assert parse_cgroup_path("4:cpu,cpuacct:/x/abc\n", "cpuacct", "abc") == "/x/abc"
    v2 = parse_cgroup_path(fixture("cgroup_v2/proc_cgroup"), "", CONTAINER)
    assert v2 == f"/system.slice/docker-{CONTAINER}.scope"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "4:memory:/docker/other",
        "4:memory:/../abc",
        "4:memory:abc",
        "4:memory",
        "4:cpu:/docker/abc",
        "0::/docker/abc",
    ],
)
def test_group_of_another_process_or_outside_the_tree_is_refused(text: str) -> None:
    with pytest.raises(DamagedFile):
        parse_cgroup_path(text, "memory", "abc")


MAC, ENGINES_MAC = "0a:00:00:00:00:01", "02:42:ac:11:00:02"


def nft_table(*, since: str = "since 100 on docker0", counters: dict[str, object] | None = None) -> str:
    elements = [{"elem": {"val": mac, "counter": {"packets": 1, "bytes": n}}} for mac, n in (counters or {}).items()]
    items = [{"metainfo": {}}, {"set": {"name": "sent", "elem": elements}}, {"rule": {"comment": since}}]
    return json.dumps({"nftables": items})


def test_counters_of_the_firewall_are_read() -> None:
    count = parse_count(nft_table(counters={MAC.upper(): 77}), "docker0")
    assert count == EgressCount(since_ns=100, bytes_by_mac={MAC: 77})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        nft_table(since="somebody else's"),
        nft_table(since="since 100 on br-1"),
        nft_table(counters={MAC: -1}),
        nft_table(counters={MAC: 2**63}),
        nft_table(counters={MAC: "many"}),
    ],
)
def test_a_table_that_is_not_ours_or_damaged_tells_nothing(text: str) -> None:
    assert parse_count(text, "docker0") is None


@pytest.mark.parametrize(
    ("mac", "started_ns", "counter", "external"),
    [
        (MAC, 100, 40, 40),
        (MAC, 200, 0, 0),
        (MAC, 200, 90, 50),  # started again: the counter holds the former run too
        (MAC, 99, 40, None),  # older than the counters
        (ENGINES_MAC, 200, 40, None),  # an address that others get again
        (None, 200, 40, None),
    ],
)
def test_m14_external_bytes_are_told_only_where_every_byte_was_counted(
    mac: str | None, started_ns: int, counter: int, external: int | None
) -> None:
    record = replace(RECORD, mac_address=mac, started_ns=started_ns)
    counters = ContainerCounters(
        container_id=record.container_id,
        sampled_ns=300,
        memory_bytes=1,
        memory_peak_bytes=1,
        cpu_ns=1,
        transmitted_bytes=50,
        received_bytes=1,
    )
    count = EgressCount(since_ns=100, bytes_by_mac={str(mac): counter})
    assert with_external(counters, record, count).external_bytes == external


class SlowOnce(NftEgress):
    """Does not answer one question in time, and takes down all commands."""

    def __init__(self, answers: list[str | None]) -> None:
        super().__init__(ManualClock(datetime(2026, 3, 10, tzinfo=UTC)))
        self.answers = answers
        self.asked: list[str] = []

    async def _run(self, *arguments: str, given: str = "") -> str | None:
        self.asked.append(arguments[0])
        return self.answers.pop(0)


async def test_a_firewall_that_was_only_slow_to_answer_keeps_its_counters() -> None:
    slow = SlowOnce([None, nft_table(counters={MAC: 77})])
    assert await slow.read() == EgressCount(since_ns=100, bytes_by_mac={MAC: 77})
    assert "-f" not in slow.asked


async def test_counters_that_are_gone_are_made_again_and_the_look_says_after_when() -> None:
    lost = SlowOnce([nft_table(counters={MAC: 77}), None, None, "", nft_table(counters={MAC: 77})])
    first, read_ns = await lost.read(), lost._last_ns
    assert first is not None
    assert await lost.read() == replace(first, lost_after_ns=read_ns)
    assert lost.asked.count("-f") == 1


@pytest.mark.parametrize(("started_ns", "is_told"), [(99, False), (100, False), (250, False), (251, True)])
def test_a_look_at_counters_that_were_lost_tells_nothing_of_who_was_there_before(
    started_ns: int, is_told: bool
) -> None:
    count = EgressCount(since_ns=100, bytes_by_mac={}, lost_after_ns=250)
    assert count.knows(started_ns) is is_told


def test_m12_page_cache_is_no_working_set_in_either_version() -> None:
    usage = 10 * 2**20
    v1 = parse_keyed("cache 9000000\ninactive_file 1\ntotal_inactive_file 8000000\n", "total_inactive_file")
    v2 = parse_keyed("anon 5\nfile 9000000\ninactive_file 8000000\n", "inactive_file")
    assert usage - v1 == usage - v2 == usage - 8_000_000
