"""From the engine's JSON to our records and back: exact instants, whole figures, and nothing that fits by chance."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helvetia.containers.demo_image import demo_archive, find_static_busybox, is_static_elf
from helvetia.containers.docker.convert import (
    from_docker_inspect,
    from_docker_stats,
    layer_sizes,
    parse_engine_time,
    volume_sizes,
)
from helvetia.containers.docker.create_body import create_body, next_start_number
from helvetia.containers.docker.engine import choose_api_version
from helvetia.containers.model import ContainerState, Volume
from helvetia.kernel.clock import from_ns
from support.docker_engine import demo_spec

INSTALLATION = "this-house"
ACCOUNT, SERVICE = UUID(int=1), UUID(int=2)
LABELS = {
    "helvetia.installation": INSTALLATION,
    "helvetia.account_id": str(ACCOUNT),
    "helvetia.service_id": str(SERVICE),
    "helvetia.revision": "4",
    "helvetia.replica": "1",
}
NEVER = "0001-01-01T00:00:00Z"


def inspected(labels: Mapping[str, str] | None = None, **state: object) -> dict[str, Any]:
    return {
        "Id": "c" * 64,
        "Created": "2026-11-22T16:49:13.763698905Z",
        "RestartCount": 2,
        "Config": {"Labels": LABELS if labels is None else labels},
        "Mounts": [{"Type": "volume", "Name": "v1"}, {"Type": "bind", "Source": "/etc"}],
        "State": {
            "Running": True,
            "Paused": False,
            "Restarting": False,
            "OOMKilled": False,
            "Pid": 8852,
            "ExitCode": 0,
            "StartedAt": "2026-11-22T16:49:14.055077857Z",
            "FinishedAt": NEVER,
        }
        | state,
    }


@pytest.mark.parametrize(
    ("text", "instant_ns"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.000000001Z", 1),
        ("2026-11-22T16:49:14.055077857Z", 1_795_366_154_055_077_857),
        ("2026-11-22T16:49:14.05Z", 1_795_366_154_050_000_000),
        ("2026-11-22T18:49:14.055077857+02:00", 1_795_366_154_055_077_857),
        ("2026-11-22T11:19:14.055077857-05:30", 1_795_366_154_055_077_857),
        ("2024-02-29T23:59:59.999999999Z", 1_709_251_199_999_999_999),
        (NEVER, None),
    ],
)
def test_instant_is_exact_to_the_nanosecond(text: str, instant_ns: int | None) -> None:
    assert parse_engine_time(text) == instant_ns


@pytest.mark.parametrize("text", ["", "2026-11-22", "2026-11-22T16:49:14", "2026-13-01T00:00:00Z", "now", "1e9"])
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_engine_time(text)


@given(st.integers(min_value=0, max_value=4_102_444_800 * 10**9))
def test_any_instant_comes_back(instant_ns: int) -> None:
    text = f"{from_ns(instant_ns):%Y-%m-%dT%H:%M:%S}.{instant_ns % 10**9:09d}Z"
    assert parse_engine_time(text) == instant_ns


def test_running_container_becomes_a_record() -> None:
    record = from_docker_inspect(inspected(), INSTALLATION)
    assert record is not None
    assert (record.account_id, record.service_id, record.revision, record.replica) == (ACCOUNT, SERVICE, 4, 1)
    assert (record.state, record.process_id, record.restart_count) == (ContainerState.RUNNING, 8852, 2)
    assert (record.finished_ns, record.exit_code, list(record.volumes)) == (None, None, ["v1"])


def test_finish_of_an_earlier_run_is_not_that_of_a_running_one() -> None:
    record = from_docker_inspect(inspected(FinishedAt="2026-11-22T16:00:00Z"), INSTALLATION)
    assert record is not None
    assert record.finished_ns is None


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"Paused": True}, ContainerState.PAUSED),
        ({"Running": False, "Pid": 0, "StartedAt": NEVER}, ContainerState.CREATED),
        ({"Running": False, "Pid": 0, "FinishedAt": "2026-11-22T17:00:00Z", "ExitCode": 137}, ContainerState.EXITED),
        ({"Restarting": True, "FinishedAt": "2026-11-22T17:00:00Z"}, ContainerState.EXITED),
    ],
)
def test_state_is_told_in_our_words(state: dict[str, object], expected: ContainerState) -> None:
    record = from_docker_inspect(inspected(**state), INSTALLATION)
    assert record is not None
    assert record.state is expected


@pytest.mark.parametrize(
    "labels",
    [
        {},
        LABELS | {"helvetia.installation": "another"},
        LABELS | {"helvetia.service_id": "not-an-id"},
        {name: value for name, value in LABELS.items() if name != "helvetia.account_id"},
        LABELS | {"helvetia.revision": "x"},
    ],
)
def test_container_that_cannot_be_attributed_is_no_record(labels: dict[str, str]) -> None:
    assert from_docker_inspect(inspected(labels), INSTALLATION) is None


def stats(**changes: object) -> dict[str, Any]:
    return {
        "read": "2026-11-22T16:49:39.587728991Z",
        "cpu_stats": {"cpu_usage": {"total_usage": 32_428_868}},
        "memory_stats": {"usage": 1_000_000, "max_usage": 4_000_000, "stats": {"total_inactive_file": 300_000}},
        "networks": {"eth0": {"rx_bytes": 10, "tx_bytes": 20}, "eth1": {"rx_bytes": 1, "tx_bytes": 2}},
    } | changes


def test_stats_become_counters() -> None:
    counters = from_docker_stats("c", stats())
    assert counters is not None
    assert (counters.memory_bytes, counters.memory_peak_bytes, counters.cpu_ns) == (700_000, 4_000_000, 32_428_868)
    assert (counters.transmitted_bytes, counters.received_bytes) == (22, 11)
    assert counters.sampled_ns % 10**9 == 587_728_991


def test_m12_stats_of_cgroup_v2_subtract_inactive_file_and_have_no_peak() -> None:
    counters = from_docker_stats("c", stats(memory_stats={"usage": 1_000, "stats": {"inactive_file": 400}}))
    assert counters is not None
    assert (counters.memory_bytes, counters.memory_peak_bytes) == (600, None)


def test_container_without_a_network_has_no_measured_bytes() -> None:
    counters = from_docker_stats("c", {name: part for name, part in stats().items() if name != "networks"})
    assert counters is not None
    assert (counters.transmitted_bytes, counters.received_bytes) == (None, None)


@pytest.mark.parametrize(
    "changes",
    [
        {"read": NEVER, "memory_stats": {}},
        {"memory_stats": {"usage": 2**63, "stats": {}}},
        {"networks": {"eth0": {"rx_bytes": 0, "tx_bytes": -1}}},
    ],
)
def test_stats_of_a_stopped_one_or_absurd_ones_are_left_out(changes: dict[str, object]) -> None:
    assert from_docker_stats("c", stats(**changes)) is None


def test_sizes_are_ours_only_and_an_unknown_size_is_neither_zero_nor_gone() -> None:
    foreign = {"Id": "x", "Labels": {}, "SizeRw": 5, "Mounts": [{"Type": "volume", "Name": "theirs"}]}
    mine = {"Id": "m", "Labels": LABELS, "Mounts": [{"Type": "volume", "Name": "unnamed"}]}
    assert [(one.holder, one.size_bytes) for one in layer_sizes([foreign, mine], INSTALLATION, 9)] == [("m", 0)]
    volumes = [
        {"Name": "theirs", "Labels": None, "UsageData": {"Size": 1}},
        {"Name": "unnamed", "Labels": None, "UsageData": {"Size": 2}},
        {"Name": "named", "Labels": LABELS, "UsageData": {"Size": 3}},
        {"Name": "unknown", "Labels": LABELS, "UsageData": {"Size": -1}},
        {"Name": "remote", "Labels": LABELS, "UsageData": None},
    ]
    found = volume_sizes(volumes, [foreign, mine], INSTALLATION, 9)
    sizes = [("unnamed", 2), ("named", 3), ("unknown", None), ("remote", None)]
    assert [(one.holder, one.size_bytes) for one in found] == sizes
    untold = volume_sizes([], [foreign, mine], INSTALLATION, 9)
    assert [(one.holder, one.size_bytes) for one in untold] == [("unnamed", None)]
    absurd = layer_sizes([{**mine, "SizeRw": -1}, {**mine, "SizeRw": 2**64}], INSTALLATION, 9)
    assert [one.size_bytes for one in absurd] == [None, None]


def test_definition_cannot_widen_what_is_asked_of_the_engine() -> None:
    spec = demo_spec(volumes=(Volume(name="data", path="/data"),), env={"A": "b=c"}, cpu_cores="1.25")
    body = create_body(spec, INSTALLATION, 3)
    config = body["HostConfig"]
    assert isinstance(config, dict)
    assert config.keys().isdisjoint({"Binds", "Devices", "CapAdd", "PortBindings", "PidMode", "VolumesFrom", "Links"})
    assert (config["NanoCpus"], config["Privileged"]) == (1_250_000_000, False)
    assert body["Env"] == ["A=b=c"]
    assert "Cmd" not in body
    assert next_start_number([body, {"Labels": {"helvetia.start": "x"}}, {"Labels": {}}]) == 4
    assert next_start_number([]) == 0


@pytest.mark.parametrize(
    ("newest", "oldest", "chosen"),
    [("1.41", "1.12", "v1.41"), ("1.52", "1.44", "v1.48"), ("1.60", "1.50", "v1.50"), ("1.9", "1.0", "v1.9")],
)
def test_newest_version_that_both_know_is_spoken(newest: str, oldest: str, chosen: str) -> None:
    assert choose_api_version(newest, oldest) == chosen


def elf(*program_headers: int) -> bytes:
    head = bytearray(64)
    head[:6] = b"\x7fELF\x02\x01"
    head[32:40] = (64).to_bytes(8, "little")
    head[54:58] = (56).to_bytes(2, "little") + len(program_headers).to_bytes(2, "little")
    return bytes(head) + b"".join(kind.to_bytes(4, "little") + bytes(52) for kind in program_headers)


@pytest.mark.parametrize(
    ("program", "expected"),
    [(elf(1, 1, 4), True), (elf(6, 3, 1), False), (elf(), False), (b"#!/bin/sh\n" * 10, False), (b"", False)],
)
def test_static_program_is_told_from_a_dynamic_one(program: bytes, *, expected: bool) -> None:
    assert is_static_elf(program) is expected


def test_demo_image_without_a_static_busybox_has_a_reason(tmp_path: Any) -> None:
    dynamic = tmp_path / "busybox"
    assert find_static_busybox([dynamic]) == (None, f"there is no {dynamic}")
    dynamic.write_bytes(elf(3))
    assert find_static_busybox([dynamic]) == (None, f"{dynamic} is not a static program")


def test_demo_archive_is_the_same_each_time() -> None:
    assert demo_archive(elf(1)) == demo_archive(elf(1))
