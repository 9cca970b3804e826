"""Several looks of a node told at once leave the rows that they leave one by one; nothing hostile gets in that way."""

import asyncio
import gzip
import json
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from helvetia.agent.fold_looks import fold_looks
from helvetia.agent.post_batches import Server
from helvetia.agent.run_agent import Agent, AgentConfig
from helvetia.agent.spool import Spool
from helvetia.agent.take_looks import Looker
from helvetia.containers.model import ContainerRecord, ContainerState, StorageSize
from helvetia.containers.simulated_host import SimulatedHost
from helvetia.database.pool import Database
from helvetia.kernel.clock import to_ns
from helvetia.kernel.clock_steps import ClockReading
from helvetia.kernel.identity import new_account_id
from helvetia.kernel.quantity import NS_PER_S, UsageMetric
from helvetia.metering.errors import ClockSkewed, InvalidBatch
from helvetia.metering.nodes.model import READINGS_MAX, NodeBatch, NodeItem, PostAnswer, Refused
from helvetia.metering.nodes.wire import from_wire_batch, to_wire_answer, to_wire_batch
from helvetia.metering.nodes.wire_posts import (
    PACKED_BYTES_MAX,
    POST_BYTES_MAX,
    from_wire_post,
    pack_post,
    to_wire_post_answer,
)
from helvetia.metering.readers.host_reader import HostReader
from helvetia.web.config import BODY_BYTES_MAX
from support import trials
from support.node_world import CLOCK, NodeWorld, move_in

S = NS_PER_S
LOOKS = 12
TABLES = {
    "container_runs": "incarnation, started_ns, finished_ns, seen_ns, restart_count, exit_code, vanished",
    "container_readings": "incarnation, sampled_ns, interval_ms, memory_bytes, transmitted_bytes",
    "metering_findings": "incarnation, kind, cause, starts_ns, ends_ns, detail",
    "metering_clocks": "node, boot_id, wall_ns, monotonic_ns",
    "metering_clock_steps": "node, stepped_to_ns, step_ns, since_ns",
    "usage_records": "incarnation, metric, period_start, revision, quantity, reading_count",
}


@pytest.fixture
async def world(database: Database) -> NodeWorld:
    return await move_in(database)


class Rack:
    """Containers of a node that start, stop, pause, start anew and vanish, and what looks at it tell."""

    def __init__(self, world: NodeWorld, name: str, seed: int) -> None:
        self.world, self.name, self.dice = world, name, random.Random(seed)
        self.records: dict[str, ContainerRecord] = {}
        self.sent = self.boot = 0
        self.monotonic_ns = 50 * S

    def looks(self) -> list[NodeBatch]:
        """Looks of every container, some in two parts, some with parts lost, some of one container alone."""
        found: list[NodeBatch] = []
        for number in range(LOOKS):
            at_ns = self.world.now_ns - (LOOKS - number) * 4 * S
            for _ in range(self.dice.randint(0, 3)):
                self.change(at_ns - 2 * S)
            items = [self.item(record, at_ns) for record in self.records.values()]
            middle = self.dice.randint(0, len(items))
            whole = replace(self.world.batch(listed=list(self.records)), looked_ns=at_ns, clocks=self.clocks(at_ns))
            parts = [replace(whole, items=items[:middle], listed=None), replace(whole, items=items[middle:])]
            if self.dice.random() < 0.2:
                parts = [replace(whole, items=items[:1], listed=None)]
            found += [one for one in parts if self.dice.random() > 0.1]
        return found

    def clocks(self, at_ns: int) -> ClockReading:
        """Now and then the wall clock is set, or the node boots."""
        what = self.dice.random()
        self.monotonic_ns += 4 * S + self.dice.choice((0, 0, 0, -3 * S, 6 * S, -7 * S)) * (what < 0.5)
        self.boot += what > 0.95
        return ClockReading(boot_id=f"boot{self.boot}", wall_ns=at_ns, monotonic_ns=max(0, self.monotonic_ns))

    def item(self, record: ContainerRecord, at_ns: int) -> NodeItem:
        self.sent += self.dice.randint(0, 50) - self.dice.randint(0, 1)
        is_read = record.state is ContainerState.RUNNING and self.dice.random() > 0.1
        counters = self.world.counters(
            record.container_id, sampled_ns=at_ns + self.dice.randint(0, S), transmitted_bytes=self.sent + 10
        )
        return NodeItem(record=record, counters=counters if is_read else None)

    def change(self, at_ns: int) -> None:
        what = self.dice.choice(("start", "start", "stop", "restart", "vanish", "pause", "resume"))
        name = self.dice.choice(list(self.records)) if self.records else None
        if what == "start" or name is None:
            name = f"{self.name}-{len(self.records)}-{at_ns}-{self.dice.random()}"
            self.records[name] = self.world.record(name, created_ns=at_ns, started_ns=at_ns)
        elif what == "vanish":
            del self.records[name]
        else:
            self.records[name] = self.changed(self.records[name], what, at_ns)

    def changed(self, record: ContainerRecord, what: str, at_ns: int) -> ContainerRecord:
        if what == "stop":
            return replace(record, state=ContainerState.EXITED, finished_ns=at_ns, exit_code=3, process_id=None)
        if what == "restart":
            count = record.restart_count + self.dice.randint(1, 2)
            return replace(
                record, state=ContainerState.RUNNING, started_ns=at_ns, finished_ns=None, restart_count=count
            )
        state = ContainerState.PAUSED if what == "pause" else ContainerState.RUNNING
        return record if record.finished_ns is not None else replace(record, state=state)


async def post_folded(world: NodeWorld, batches: Sequence[NodeBatch]) -> list[PostAnswer]:
    """Post them as an agent does that was cut off."""
    bodies, answers = [to_wire_batch(one) for one in batches], []
    while bodies:
        packed, count = fold_looks(bodies)
        assert count
        answers.append(await post_packed(world, packed))
        bodies = bodies[count:]
    return answers


async def post_packed(world: NodeWorld, packed: bytes) -> PostAnswer:
    return await world.nodes.accept_post(world.node, from_wire_post(packed), sent_ns=to_ns(CLOCK.wall()))


async def rows_of(world: NodeWorld) -> dict[str, list[tuple[object, ...]]]:
    """All that was written and counted, without when it was."""
    await world.totals()
    found = {}
    async with world.database.transaction() as tx:
        for table, columns in TABLES.items():
            found[table] = await (await tx.execute(f"SELECT {columns} FROM {table} ORDER BY {columns}")).fetchall()
    return found


@pytest.mark.parametrize("seed", range(trials.choose(small=8, full=200)))
async def test_looks_told_at_once_leave_the_rows_that_they_leave_one_by_one(world: NodeWorld, seed: int) -> None:
    dice = random.Random(seed)
    looks = Rack(world, "c", seed).looks()
    for batch in looks:
        assert all(one.accepted for one in await world.post(batch))
    one_by_one = await rows_of(world)
    async with world.database.transaction() as tx:
        await tx.execute(f"TRUNCATE {', '.join(TABLES)}, usage_days, usage_months")
    first = dice.randint(0, len(looks))
    for post in (looks[:first], looks[first:]):
        assert not any(answer.refused for answer in await post_folded(world, post))
    for table, rows in (await rows_of(world)).items():
        assert rows == one_by_one[table], table
    trials.record("random looks of a node told at once: the rows of looks told one by one", count=1)


def test_a_container_that_went_on_is_told_once_with_all_its_readings(world: NodeWorld) -> None:
    looks = [steady(world, number) for number in range(6)]
    packed, count = fold_looks([to_wire_batch(one) for one in looks])
    (seen,) = from_wire_post(packed).sightings
    assert seen is not None
    assert (count, seen.looked_ns, len(seen.columns[0])) == (6, looks[-1].looked_ns, 6)
    assert len(packed) < sum(len(to_wire_batch(one)) for one in looks) / 3


def steady(world: NodeWorld, number: int) -> NodeBatch:
    at_ns = world.now_ns - (10 - number) * S
    item = NodeItem(record=world.record(), counters=world.counters(sampled_ns=at_ns))
    return replace(world.batch(item, listed=["c1"]), looked_ns=at_ns)


def test_what_cannot_be_folded_is_left_to_be_posted_as_it_is(world: NodeWorld) -> None:
    size = StorageSize(
        holder="v",
        kind="volume",
        account_id=world.account_id,
        service_id=world.service_id,
        sampled_ns=1,
        size_bytes=1,
    )
    look = to_wire_batch(steady(world, 0))
    other = to_wire_batch(replace(steady(world, 1), interval_ms=5_000))
    for odd in (b"", b"{}", b"[]", b"\xff", look[:-1], to_wire_batch(world.batch(NodeItem(size=size)))):
        assert fold_looks([odd, look]) == (b"", 0)
        assert fold_looks([look, odd, look])[1] == 1
    assert fold_looks([look, other])[1] == 1


def test_a_fold_fits_in_a_request_however_its_numbers_look(world: NodeWorld) -> None:
    assert PACKED_BYTES_MAX == BODY_BYTES_MAX
    dice = random.Random(1)

    def noise(place: int, number: int) -> NodeItem:
        name = f"{place:03}" + "".join(dice.choices("0123456789abcdef", k=61)) if not number else names[place]
        names.setdefault(place, name)
        numbers = {key: dice.randint(0, 2**62) for key in ("memory_bytes", "cpu_ns", "transmitted_bytes", "sampled_ns")}
        return NodeItem(record=world.record(name), counters=world.counters(name, **numbers))

    names: dict[int, str] = {}
    looks = [to_wire_batch(world.batch(*[noise(place, number) for place in range(200)])) for number in range(30)]
    packed, count = fold_looks(looks)
    assert 1 < count <= 30
    assert len(packed) <= PACKED_BYTES_MAX
    assert sum(len(one.columns[0]) for one in from_wire_post(packed).sightings if one) == 200 * count


def damaged(world: NodeWorld, damage: Callable[[dict[str, Any]], None]) -> bytes:
    packed, _ = fold_looks([to_wire_batch(steady(world, number)) for number in range(3)])
    post = json.loads(gzip.decompress(packed))
    damage(post)
    return pack_post(json.dumps(post).encode())


REFUSED: list[tuple[str, int | None, Callable[[dict[str, Any]], None]]] = [
    ("malformed", None, lambda seen: seen.clear()),
    ("malformed", None, lambda seen: seen["readings"].pop()),
    ("malformed", None, lambda seen: seen["readings"][3].pop()),
    ("malformed", None, lambda seen: seen["readings"][1].__setitem__(0, 2**80)),
    ("malformed", None, lambda seen: seen["readings"][0].__setitem__(0, None)),
    ("malformed", None, lambda seen: seen["record"].update(container_id="a\0b")),
    ("foreign_account", None, lambda seen: seen["record"].update(account_id=str(new_account_id()))),
    ("in_future", None, lambda seen: seen.update(looked_ns=2**62)),
    ("too_old", None, lambda seen: seen.update(looked_ns=5)),
    ("in_future", 1, lambda seen: seen["readings"][0].__setitem__(1, 2**62)),
    ("too_old", 2, lambda seen: seen["readings"][0].__setitem__(2, 7)),
    ("absurd_counter", 0, lambda seen: seen["readings"][1].__setitem__(0, 2**60)),
    ("absurd_counter", 2, lambda seen: seen["readings"][4].__setitem__(2, -1)),
]


@pytest.mark.parametrize(("reason", "reading", "damage"), REFUSED)
async def test_what_cannot_be_is_refused_alone_with_its_reason(
    world: NodeWorld, reason: str, reading: int | None, damage: Callable[[dict[str, Any]], None]
) -> None:
    answer = await post_packed(world, damaged(world, lambda post: damage(post["sightings"][0])))
    assert answer.refused == [Refused(sighting=0, reading=reading, reason=reason)]
    async with world.database.transaction() as tx:
        (count,) = await (await tx.execute("SELECT count(*) FROM container_readings")).fetchone() or (None,)
    assert count == (0 if reading is None else 2)
    assert (await world.totals()).quantities[UsageMetric.BANDWIDTH_GB] == (0 if reading is None else 777)


def test_a_post_that_unpacks_to_too_much_or_is_none_is_refused_whole(world: NodeWorld) -> None:
    whole = damaged(world, lambda _: None)
    rows = [[1] * (READINGS_MAX + 1)] * 7
    bodies = [
        *(b"", b"{}", b"\x1f\x8b", whole[:-9], whole + b"x", whole + whole),
        pack_post(b" " * (POST_BYTES_MAX + 1)),
        pack_post(b"[]"),
        damaged(world, lambda post: post.update(interval_ms=1)),
        damaged(world, lambda post: post.update(sightings=[{}] * 5_000)),
        damaged(world, lambda post: post["sightings"][0].update(readings=rows)),
    ]
    for body in bodies:
        with pytest.raises(InvalidBatch):
            from_wire_post(body)


async def test_a_node_whose_clock_is_off_tells_nothing(world: NodeWorld) -> None:
    post = from_wire_post(damaged(world, lambda _: None))
    with pytest.raises(ClockSkewed):
        await world.nodes.accept_post(world.node, post, sent_ns=to_ns(CLOCK.wall()) + 60 * S)
    assert (await world.nodes.list_nodes())[0].clock_ahead_ms is not None
    assert (await rows_of(world))["container_runs"] == []


@asynccontextmanager
async def server_of(world: NodeWorld, *, knows_folds: bool) -> AsyncIterator[tuple[Server, list[bool]]]:
    """The route over HTTP, of this version or of the one that knew single batches only; which posts were folded."""
    posts: list[bool] = []

    async def take(request: web.Request) -> web.Response:
        body, sent_ns = await request.read(), int(request.headers["x-helvetia-sent-ns"])
        posts.append(request.headers.get("content-encoding") == "gzip")
        if not posts[-1]:
            answer = await world.nodes.accept(world.node, from_wire_batch(body), sent_ns=sent_ns)
            return web.Response(body=to_wire_answer(answer))
        if not knows_folds:
            return web.Response(status=422)
        told = await world.nodes.accept_post(world.node, from_wire_post(body), sent_ns=sent_ns)
        return web.Response(body=to_wire_post_answer(told))

    app = web.Application(client_max_size=BODY_BYTES_MAX)
    app.router.add_post("/internal/v1/readings", take)
    runner = web.AppRunner(app, auto_decompress=False)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        port = runner.addresses[0][1]
        yield Server(CLOCK, f"http://127.0.0.1:{port}", "hvn_x", timeout_s=10), posts
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(("knows_folds", "posted"), [(True, [True]), (False, [True, False, False, False, False])])
async def test_what_waited_is_posted_at_once_and_one_by_one_to_an_older_server(
    world: NodeWorld, tmp_path: Path, *, knows_folds: bool, posted: list[bool]
) -> None:
    spool, host = await asyncio.to_thread(Spool, tmp_path), SimulatedHost("rack-1", CLOCK)
    agent = Agent(
        AgentConfig(removes_closed=False),
        CLOCK,
        host,
        Looker(CLOCK, host, HostReader(host), interval_s=10, host_timeout_s=5),
        spool,
    )
    for number in range(4):
        await asyncio.to_thread(spool.add, to_wire_batch(steady(world, number)))
    async with server_of(world, knows_folds=knows_folds) as (server, posts):
        assert await agent.post_waiting(server) == 4
    assert posts == posted
    assert spool.waiting_count == 0
    assert len((await rows_of(world))["container_readings"]) == 4
