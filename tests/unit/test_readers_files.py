from pathlib import Path

import pytest

from helvetia.metering.readers.counter_files import (
    DamagedFile,
    parse_cgroup_path,
    parse_keyed,
    parse_net_dev,
    parse_number,
)

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
CONTAINER = "668f331d356ce17ec004ac99af0b9925e5df4ed1362aca267006499bf815d4d7"


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
