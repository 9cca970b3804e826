"""What an agent asks its engine: one question a sample and of what changed; the sweep asks of everything."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from helvetia.agent import take_looks
from helvetia.agent.take_looks import Looker
from helvetia.containers.errors import HostUnavailable
from helvetia.containers.model import ContainerRecord, ContainerState
from helvetia.kernel.identity import new_account_id, new_service_id
from helvetia.metering.lifecycle import ask_little
from helvetia.metering.nodes.model import NodeBatch
from helvetia.metering.nodes.wire import from_wire_batch, to_wire_batch
from helvetia.metering.readers.cgroup_reader import CgroupReader
from helvetia.metering.readers.host_reader import HostReader
from support.cgroup_machine import Machine
from support.tree_host import SteppedClock, TreeHost


class Node:
    """A node whose containers are a made-up tree of files."""

    def __init__(self, root: Path) -> None:
        self.clock = SteppedClock(datetime(2026, 3, 10, 10, tzinfo=UTC))
        machine = Machine(root, 1)
        self.host = TreeHost(self.clock, machine, new_account_id(), new_service_id())
        self.reader = CgroupReader(machine.layout, self.clock, proc_root=machine.proc)
        self.looker = Looker(self.clock, self.host, self.reader, interval_s=10, host_timeout_s=5)

    async def sample(self) -> Sequence[NodeBatch]:
        self.clock.advance(timedelta(seconds=10))
        self.host.inspected.clear()
        return await self.looker.sample()


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def told(batches: Sequence[NodeBatch]) -> dict[str, tuple[ContainerState, bool]]:
    items = [item for batch in batches for item in batch.items if item is not None]
    return {
        item.record.container_id: (item.record.state, item.counters is not None)
        for item in items
        if item.record is not None
    }


async def test_what_goes_on_is_sampled_without_a_question_of_its_own(node: Node) -> None:
    records = [node.host.add(number) for number in range(5)]
    first = await node.sample()
    assert sorted(node.host.inspected) == sorted(record.container_id for record in records)
    for _ in range(3):
        again = await node.sample()
        assert node.host.inspected == []
        assert told(again) == told(first) == dict.fromkeys(told(first), (ContainerState.RUNNING, True))
    assert all(batch.listed is None for batch in again)  # only a sweep may say what is gone


async def test_only_what_changed_is_asked_for(node: Node) -> None:
    stays, ends, restarts = (node.host.add(number) for number in range(3))
    await node.sample()
    node.host.end(ends)
    again = node.host.restart(restarts, 77)
    new = node.host.add(9)
    batches = await node.sample()
    changed = {one.container_id for one in (ends, restarts, new)}
    assert set(node.host.inspected) == changed
    assert told(batches)[ends.container_id] == (ContainerState.EXITED, False)
    assert told(batches)[stays.container_id] == (ContainerState.RUNNING, True)
    assert again.started_ns in {one.started_ns for one in _records(batches)}
    await node.sample()
    assert node.host.inspected == []


async def test_a_container_removed_unseen_is_asked_for_once_and_left_to_the_sweep(node: Node) -> None:
    record = node.host.add(1)
    await node.sample()
    node.host.end(record)
    del node.host.records[record.container_id]
    assert told(await node.sample()) == {}
    assert await node.sample() == []
    (swept,) = await node.looker.sweep()
    assert (list(swept.items), swept.listed) == ([], [])


async def test_the_sweep_finds_what_neither_event_nor_sample_told(node: Node) -> None:
    record = node.host.add(1)
    node.host.end(record)  # it began and ended between two samples, and the events were lost
    assert await node.sample() == []
    (swept,) = await node.looker.sweep()
    assert told([swept]) == {record.container_id: (ContainerState.EXITED, False)}
    assert swept.listed == [record.container_id]


async def test_an_engine_that_fails_to_tell_of_what_changed_keeps_back_nothing_that_was_read(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ask_little, "INSPECT_TIMEOUT_S", 0.05)
    known = node.host.add(1)
    await node.sample()
    new = node.host.add(2)
    node.host.hanging.add(new.container_id)
    assert set(told(await node.sample())) == {known.container_id}
    node.host.hanging.clear()
    assert set(told(await node.sample())) == {known.container_id, new.container_id}


async def test_an_engine_that_tells_nothing_at_all_is_away(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask_little, "INSPECT_TIMEOUT_S", 0.05)
    record = node.host.add(1)
    node.host.hanging.add(record.container_id)
    with pytest.raises(HostUnavailable):
        await node.sample()


async def test_where_no_reader_can_tell_that_a_run_goes_on_a_sample_is_a_sweep(node: Node) -> None:
    looker = Looker(node.clock, node.host, HostReader(node.host), interval_s=10, host_timeout_s=5)
    (batch,) = await looker.sample()
    assert batch.listed == []


async def test_a_long_look_is_told_in_parts_and_its_last_says_what_there_is(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(take_looks, "ITEMS_MAX", 2)
    for number in range(3):
        node.host.add(number)
    parts = await node.looker.sweep()
    assert [len(part.items) for part in parts] == [2, 1]
    assert [part.listed is None for part in parts] == [True, False]
    assert len(parts[1].listed or ()) == 3


async def test_looks_tell_both_clocks_of_their_node_now_and_then(node: Node) -> None:
    node.host.add(1)
    (batch,) = await node.sample()
    assert batch.clocks is not None
    assert batch.clocks.wall_ns == batch.looked_ns
    assert from_wire_batch(to_wire_batch(batch)).clocks == batch.clocks
    assert [one.clocks for one in await node.looker.sample()] == [None]  # at the same instant
    (later,) = await node.sample()
    assert later.clocks is not None


@pytest.mark.parametrize(
    "clocks",
    [
        b'"x"',
        b"7",
        b'{"boot_id": "b"}',
        b'{"boot_id": "", "wall_ns": 1, "monotonic_ns": 1}',
        b'{"boot_id": "b\\u0000", "wall_ns": 1, "monotonic_ns": 1}',
        b'{"boot_id": "b", "wall_ns": 1, "monotonic_ns": 99999999999999999999}',
    ],
)
async def test_clocks_that_cannot_be_read_are_left_out_of_a_batch_that_can(node: Node, clocks: bytes) -> None:
    (batch,) = await node.looker.sweep()
    body = to_wire_batch(batch)
    start = body.index(b'"clocks":') + len(b'"clocks":')
    end = body.index(b"}", start) + 1
    assert from_wire_batch(body[:start] + clocks + body[end:]).clocks is None


def _records(batches: Sequence[NodeBatch]) -> list[ContainerRecord]:
    return [item.record for batch in batches for item in batch.items if item is not None and item.record is not None]
