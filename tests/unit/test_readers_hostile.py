"""The kernel's files as nobody wrote them: refused with a reason, or the right number; never a crash or a wrong one."""

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from helvetia.containers.model import ContainerCounters
from helvetia.metering.readers.counter_files import (
    COUNTER_MAX,
    DamagedFile,
    parse_cgroup_path,
    parse_keyed,
    parse_net_dev,
    parse_number,
)
from support.cgroup_machine import Machine

HEAD = "Inter-|   Receive   |  Transmit\n face |bytes packets|bytes packets\n"
FILES = {
    1: ("memory.usage_in_bytes", "memory.max_usage_in_bytes", "memory.stat", "cpuacct.usage"),
    2: ("memory.current", "memory.peak", "memory.stat", "cpu.stat"),
}
PROCESS_FILES = ("cgroup", "stat", "net/dev")

numbers = st.one_of(st.integers(0, COUNTER_MAX), st.integers(-(2**70), 2**70))
words = st.one_of(
    numbers.map(str), st.text(max_size=30), st.sampled_from(["max", "nan", "1e9", "0x1", "1_0", "٣", "²", "+1"])
)
contents = st.one_of(
    st.binary(max_size=300),
    st.lists(words, max_size=30).map(lambda some: "\n".join(some).encode(errors="replace")),
    st.integers(65_530, 65_600).map(lambda length: b"1" * length),
    st.just(b"total_inactive_file 1\n" * 4_000),
)


@given(text=words | st.text())
def test_a_number_is_what_it_says_or_refused(text: str) -> None:
    try:
        number = parse_number(text)
    except DamagedFile:
        return
    assert 0 <= number <= COUNTER_MAX
    assert text.strip().lstrip("0") == str(number).lstrip("0")


@given(number=numbers, before=st.lists(st.tuples(words, words), max_size=5))
def test_a_key_is_found_among_others_or_refused(number: int, before: list[tuple[str, str]]) -> None:
    others = [f"x{key} {value}" for key, value in before if len(f"x{key} {value}".splitlines()) == 1]
    text = "\n".join([*others, f"usage_usec {number}", "total_usage_usec 7"])
    if 0 <= number <= COUNTER_MAX:
        assert parse_keyed(text, "usage_usec") == number
    else:
        with pytest.raises(DamagedFile):
            parse_keyed(text, "usage_usec")


@given(rows=st.lists(st.tuples(st.sampled_from(["eth0", "lo", "br-a:b"]), numbers, numbers), max_size=4))
def test_bytes_are_the_sum_of_what_the_table_says_or_refused(rows: list[tuple[str, int, int]]) -> None:
    table = HEAD + "".join(f"{name}: {came} {'0 ' * 7}{went} {'0 ' * 7}\n" for name, came, went in rows)
    counted = [(came, went) for name, came, went in rows if name != "lo"]
    sums = sum(came for came, _ in counted), sum(went for _, went in counted)
    parts = [one for row in counted for one in row]
    if all(0 <= one <= COUNTER_MAX for one in (*parts, *sums)):
        assert parse_net_dev(table) == sums
    else:
        with pytest.raises(DamagedFile):
            parse_net_dev(table)


@given(path=st.text(max_size=40), controller=st.sampled_from(["", "memory", "cpuacct"]))
def test_a_path_leads_into_the_containers_group_or_is_refused(path: str, controller: str) -> None:
    for text in (path, f"4:{controller}:{path}", f"4:{controller}:/docker/abc{path}", f"4:{controller}:/../abc{path}"):
        try:
            found = parse_cgroup_path(text, controller, "abc")
        except DamagedFile:
            continue
        assert found.startswith("/")
        assert "abc" in found
        assert ".." not in found.split("/")


def _plausible(counters: ContainerCounters) -> bool:
    figures = (counters.memory_bytes, counters.memory_peak_bytes, counters.transmitted_bytes, counters.received_bytes)
    most = COUNTER_MAX * 1_000
    return all(one is None or 0 <= one <= COUNTER_MAX for one in figures) and 0 <= (counters.cpu_ns or 0) <= most


@pytest.mark.parametrize("version", [1, 2])
@given(content=contents, data=st.data())
async def test_any_content_of_any_file_refuses_that_container_alone_and_says_so(
    version: int, content: bytes, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as root:
        machine = Machine(Path(root), version)
        good, bad = machine.add(1), machine.add(2)
        name = data.draw(st.sampled_from(FILES[version] + PROCESS_FILES))
        process = machine.proc / str(bad.process_id)
        (process / name if name in PROCESS_FILES else machine.file(bad, name)).write_bytes(content)
        with capture_logs() as logs:
            counters = await machine.reader().read([bad, good])
    read = {one.container_id: one for one in counters}
    assert read[good.container_id].memory_bytes == 70_148_096 - 757_760
    if bad.container_id in read:
        assert _plausible(read[bad.container_id])
        assert logs == []
    else:
        (told,) = logs
        assert told["event"] == "metering.counter_file_damaged"
        assert told["container_id"] == bad.container_id
        assert told["detail"]


@pytest.mark.parametrize("version", [1, 2])
async def test_m12_a_file_that_breaks_off_anywhere_never_tells_half_a_number(version: int, tmp_path: Path) -> None:
    machine = Machine(tmp_path, version)
    record, reader = machine.add(1), machine.reader()
    (whole,) = await reader.read([record])
    process = machine.proc / str(record.process_id)
    for path in (*(machine.file(record, name) for name in FILES[version]), process / "net" / "dev", process / "cgroup"):
        content = path.read_bytes()
        for end in sorted({*range(max(0, len(content) - 300), len(content)), *range(0, len(content), 37)}):
            path.write_bytes(content[:end])
            for told in await reader.read([record]):
                assert content[:end].endswith(b"\n")
                if path.name != "dev":  # a table of fewer interfaces is whole; bytes that fall are an anomaly later
                    assert replace(told, sampled_ns=whole.sampled_ns) == whole
        path.write_bytes(content)
