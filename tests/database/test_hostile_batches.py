"""Batches of a node that is wrong or hostile: what it did not tell of does not end, nothing blocks what comes after."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from helvetia.containers.model import ContainerState, StorageSize
from helvetia.database.pool import Database
from helvetia.kernel.clock import to_ns
from helvetia.kernel.identity import new_account_id
from helvetia.kernel.quantity import NS_PER_S, UsageMetric
from helvetia.metering.errors import InvalidBatch
from helvetia.metering.nodes.model import HELD_MAX, ItemAnswer, NodeBatch, NodeItem
from helvetia.metering.nodes.wire import from_wire_batch, to_wire_batch
from support.node_world import CLOCK, NodeWorld, move_in

S = NS_PER_S
HOLDERS = ("v1", "v2", "v3")


@pytest.fixture
async def world(database: Database) -> NodeWorld:
    return await move_in(database)


def look(
    world: NodeWorld, at_ns: int, holders: Sequence[str], held: Sequence[str] | None = None, **changes: Any
) -> NodeBatch:
    items = [NodeItem(size=replace(size(world, one, at_ns), **changes)) for one in holders]
    return replace(world.batch(*items), looked_ns=at_ns, held=held)


def size(world: NodeWorld, holder: str, at_ns: int) -> StorageSize:
    return StorageSize(
        holder=holder,
        kind="volume",
        account_id=world.account_id,
        service_id=world.service_id,
        sampled_ns=at_ns,
        size_bytes=1_000,
    )


async def post_raw(world: NodeWorld, batch: NodeBatch, damage: Callable[[Any], None]) -> list[ItemAnswer]:
    body = json.loads(to_wire_batch(batch))
    damage(body)
    return await world.post(from_wire_batch(json.dumps(body).encode()))


async def gone(world: NodeWorld) -> list[str]:
    async with world.database.transaction() as tx:
        rows = await tx.execute("SELECT holder FROM storage_holders WHERE gone_ns IS NOT NULL ORDER BY holder")
        return [holder for (holder,) in await rows.fetchall()]


DAMAGES: list[tuple[str, Callable[[Any], None]]] = [
    ("not an object", lambda item: item.clear()),
    ("no holder", lambda item: item["size"].pop("holder")),
    ("text for a number", lambda item: item["size"].update(size_bytes="many")),
    ("beyond the column", lambda item: item["size"].update(size_bytes=2**70)),
    ("zero byte", lambda item: item["size"].update(holder="v1\0")),
    ("of any length", lambda item: item["size"].update(holder="v" * 5_000)),
    ("not ASCII", lambda item: item["size"].update(holder="vé")),
    ("unknown kind", lambda item: item["size"].update(kind="disk")),
    ("another's account", lambda item: item["size"].update(account_id=str(new_account_id()))),
    ("in the future", lambda item: item["size"].update(sampled_ns=to_ns(CLOCK.wall()) + 60 * S)),
]


@pytest.mark.parametrize(("_name", "damage"), DAMAGES, ids=[name for name, _ in DAMAGES])
async def test_a_malformed_item_in_an_earlier_part_of_a_look_ends_no_holder(
    world: NodeWorld, _name: str, damage: Callable[[Any], None]
) -> None:
    before_ns, now_ns = world.now_ns - 50 * S, world.now_ns
    await world.post(look(world, before_ns, HOLDERS, HOLDERS))
    first, last = look(world, now_ns, ["v1"]), look(world, now_ns, ["v2"], ["v1", "v2"])
    (answer,) = await post_raw(world, first, lambda body: damage(body["items"][0]))
    assert not answer.accepted
    assert answer.reason is not None
    assert await world.post(last) == [ItemAnswer(accepted=True)]
    assert await gone(world) == ["v3"]  # and what is truly gone goes, however many items were refused
    await world.totals()


async def test_a_part_of_a_look_that_was_lost_ends_no_holder(world: NodeWorld) -> None:
    await world.post(look(world, world.now_ns - 50 * S, HOLDERS, HOLDERS))
    await world.post(look(world, world.now_ns, ["v3"], HOLDERS))
    assert await gone(world) == []
    await world.post(look(world, world.now_ns, [], ["v1"]))
    assert await gone(world) == ["v2"]  # v3 was seen in this very look


async def test_the_end_of_a_look_that_names_no_holders_ends_none(world: NodeWorld) -> None:
    await world.post(look(world, world.now_ns - 50 * S, HOLDERS, HOLDERS))
    older_agent = look(world, world.now_ns, ["v1"])
    assert await post_raw(world, older_agent, lambda body: (body.pop("held"), body.update(ends_sizes=True)))
    assert await gone(world) == []


async def test_names_that_no_engine_gives_are_not_taken_for_holders(world: NodeWorld) -> None:
    await world.post(look(world, world.now_ns - 50 * S, HOLDERS, HOLDERS))
    odd = ["v1\0", "", "é", "x" * 10**5, "v2"]
    await post_raw(world, look(world, world.now_ns, [], []), lambda body: body.update(held=odd))
    assert await gone(world) == ["v1", "v3"]
    with pytest.raises(InvalidBatch):
        await post_raw(world, look(world, world.now_ns, []), lambda body: body.update(held=["v"] * (HELD_MAX + 1)))


@pytest.mark.parametrize("name", ["a\0b", "a" * 5_000, "é", "", "a\nb"])
@pytest.mark.parametrize("field", ["container_id", "mac_address", "volumes"])
async def test_a_record_with_a_name_that_no_engine_gives_is_refused_and_blocks_nothing(
    world: NodeWorld, field: str, name: str
) -> None:
    good, bad = NodeItem(record=world.record()), NodeItem(record=world.record("bad"))
    value = [name] if field == "volumes" else name
    answers = await post_raw(
        world, world.batch(bad, good), lambda body: body["items"][0]["record"].update({field: value})
    )
    assert answers == [ItemAnswer(accepted=False, reason="malformed"), ItemAnswer(accepted=True)]


async def test_a_finish_in_the_future_is_refused(world: NodeWorld) -> None:
    record = world.record(state=ContainerState.EXITED, finished_ns=world.now_ns + 3_600 * S, process_id=None)
    assert await world.post(world.batch(NodeItem(record=record))) == [ItemAnswer(accepted=False, reason="in_future")]
    assert (await world.totals()).quantities[UsageMetric.COMPUTE_HOURS] == 0
