"""Batches of remote nodes: each item judged by itself, the same rows however often they come, nobody else's touched."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from helvetia.containers.model import (
    ContainerState,
    StorageSize,
)
from helvetia.database.pool import Database
from helvetia.kernel.clock import to_ns
from helvetia.kernel.identity import new_account_id, new_service_id
from helvetia.kernel.quantity import NS_PER_S, UsageMetric
from helvetia.metering.errors import ClockSkewed, InvalidBatch, InvalidNodeName, NodeRefused
from helvetia.metering.nodes.model import ItemAnswer, NodeItem
from helvetia.metering.nodes.wire import from_wire_batch, to_wire_batch
from support.node_world import CLOCK, NodeWorld, move_in

S = NS_PER_S


@pytest.fixture
async def world(database: Database) -> NodeWorld:
    return await move_in(database)


async def test_a_batch_posted_twice_and_out_of_order_counts_once(world: NodeWorld) -> None:
    first = world.batch(NodeItem(record=world.record(), counters=world.counters()))
    finished = world.record(state=ContainerState.EXITED, finished_ns=world.now_ns - 10 * S, process_id=None)
    last = replace(world.batch(NodeItem(record=finished)), looked_ns=world.now_ns)
    for batch in (last, first, first, last, first):
        assert await world.post(batch) == [ItemAnswer(accepted=True)]
    totals = await world.totals()
    assert totals.quantities[UsageMetric.COMPUTE_HOURS] == 50 * S
    assert totals.quantities[UsageMetric.BANDWIDTH_GB] in {0, 777}  # the reading lies behind the finish, or not


async def test_duplicates_inside_a_batch_count_once(world: NodeWorld) -> None:
    item = NodeItem(record=world.record(), counters=world.counters())
    assert await world.post(world.batch(item, item, item)) == [ItemAnswer(accepted=True)] * 3
    assert (await world.totals()).quantities[UsageMetric.BANDWIDTH_GB] == 777


Make = Callable[[NodeWorld], NodeItem | None]
REFUSED: list[tuple[str, Make]] = [
    ("malformed", lambda _: None),
    ("malformed", lambda _: NodeItem()),
    ("malformed", lambda w: NodeItem(record=w.record("bad"), counters=w.counters("other"))),
    ("foreign_account", lambda w: NodeItem(record=w.record("bad", account_id=new_account_id()))),
    ("in_future", lambda w: NodeItem(record=w.record("bad", started_ns=w.now_ns + 60 * S))),
    ("in_future", lambda w: NodeItem(record=w.record("bad"), counters=w.counters("bad", sampled_ns=w.now_ns + 60 * S))),
    ("before_its_service", lambda w: NodeItem(record=w.record("bad", started_ns=w.now_ns - 10**6 * S))),
    ("reversed_times", lambda w: NodeItem(record=w.record("bad", finished_ns=w.now_ns - 90 * S))),
    ("too_old", lambda w: NodeItem(record=w.record("bad", created_ns=-1))),
    ("too_old", lambda w: NodeItem(record=w.record("bad"), counters=w.counters("bad", sampled_ns=1))),
    ("absurd_counter", lambda w: NodeItem(record=w.record("bad"), counters=w.counters("bad", memory_bytes=2**60))),
    ("absurd_counter", lambda w: NodeItem(record=w.record("bad"), counters=w.counters("bad", transmitted_bytes=2**60))),
    ("absurd_counter", lambda w: NodeItem(record=w.record("bad"), counters=w.counters("bad", cpu_ns=-1))),
    ("absurd_counter", lambda w: NodeItem(record=w.record("bad"), counters=w.counters("bad", external_bytes=778))),
    ("absurd_counter", lambda w: NodeItem(size=size(w, size_bytes=2**60))),
    ("foreign_account", lambda w: NodeItem(size=size(w, account_id=new_account_id()))),
]


def size(world: NodeWorld, **changes: object) -> StorageSize:
    one = StorageSize(
        holder="v1",
        kind="volume",
        account_id=world.account_id,
        service_id=world.service_id,
        sampled_ns=world.now_ns,
        size_bytes=5,
    )
    return replace(one, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(("reason", "make"), REFUSED)
async def test_an_item_that_cannot_be_is_refused_alone_and_bills_nothing(
    world: NodeWorld, reason: str, make: Make
) -> None:
    good = NodeItem(record=world.record(), counters=world.counters())
    answers = await world.post(world.batch(good, make(world), good))
    assert answers == [ItemAnswer(accepted=True), ItemAnswer(accepted=False, reason=reason), ItemAnswer(accepted=True)]
    totals = await world.totals()
    assert totals.quantities[UsageMetric.COMPUTE_HOURS] <= 60 * S
    assert totals.quantities[UsageMetric.BANDWIDTH_GB] == 777


async def test_a_container_of_no_service_is_the_operators_finding(world: NodeWorld) -> None:
    stray = NodeItem(record=world.record("stray", service_id=new_service_id()))
    assert await world.post(world.batch(stray)) == [ItemAnswer(accepted=True)]
    async with world.database.transaction() as tx:
        causes = await (await tx.execute("SELECT cause FROM metering_findings")).fetchall()
    assert causes == [("owner_unknown",)]


async def test_a_node_cannot_write_another_nodes_container(world: NodeWorld) -> None:
    item = NodeItem(record=world.record(), counters=world.counters())
    await world.post(world.batch(item))
    other = await world.nodes.authenticate(await world.nodes.issue_token("rack-2"))
    assert await world.post(world.batch(item), other) == [ItemAnswer(accepted=False, reason="other_node")]
    assert await world.post(world.batch(listed=[]), other) == []  # and does not end it either
    async with world.database.transaction() as tx:
        row = await (await tx.execute("SELECT node, finished_ns FROM container_runs")).fetchone()
    assert row == ("rack-1", None)


async def test_a_container_that_a_sweep_does_not_list_ended_when_it_was_last_seen(world: NodeWorld) -> None:
    await world.post(replace(world.batch(NodeItem(record=world.record())), looked_ns=world.now_ns - 20 * S))
    await world.post(world.batch(listed=[]))
    totals = await world.totals()
    assert totals.quantities[UsageMetric.COMPUTE_HOURS] == 40 * S
    assert not totals.is_complete


@pytest.mark.parametrize("ahead_s", [6, -6, 3_600])
async def test_a_node_whose_clock_is_off_is_measured_and_refused(world: NodeWorld, ahead_s: int) -> None:
    batch = world.batch(NodeItem(record=world.record()))
    with pytest.raises(ClockSkewed):
        await world.nodes.accept(world.node, batch, sent_ns=to_ns(CLOCK.wall()) + ahead_s * S)
    (node,) = await world.nodes.list_nodes()
    assert node.clock_ahead_ms == pytest.approx(ahead_s * 1_000, abs=500)
    assert (await world.totals()).quantities[UsageMetric.COMPUTE_HOURS] == 0


async def test_a_token_is_kept_as_a_hash_and_void_when_revoked_or_replaced(world: NodeWorld) -> None:
    first = await world.nodes.issue_token("rack-9")
    second = await world.nodes.issue_token("rack-9")
    with pytest.raises(NodeRefused):
        await world.nodes.authenticate(first)
    assert (await world.nodes.authenticate(second)).node == "rack-9"
    async with world.database.transaction() as tx:
        stored = str(await (await tx.execute("SELECT * FROM nodes")).fetchall())
    assert second not in stored
    await world.nodes.revoke_token("rack-9")
    for token in (second, "", "hvn_wrong", "x" * 10_000):
        with pytest.raises(NodeRefused):
            await world.nodes.authenticate(token)
    with pytest.raises(InvalidNodeName):
        await world.nodes.issue_token("../etc")


def test_a_batch_comes_back_from_the_wire_as_it_was_and_unreadable_items_alone_are_none(world: NodeWorld) -> None:
    batch = world.batch(NodeItem(record=world.record(), counters=world.counters()), NodeItem(size=size(world)))
    body = to_wire_batch(batch)
    assert to_wire_batch(from_wire_batch(body)) == body
    damaged = body.replace(b'"replica":0', b'"replica":"nonsense"')
    assert [item is None for item in from_wire_batch(damaged).items] == [True, False]
    huge = body.replace(b'"memory_bytes":1000', b'"memory_bytes":' + b"9" * 40)
    assert from_wire_batch(huge).items[0] is None
    for text in (b"", b"[]", b"\xff", b"{}", body[:-1], body.replace(b'"items"', b'"things"')):
        with pytest.raises(InvalidBatch):
            from_wire_batch(text)
