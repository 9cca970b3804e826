from helvetia.agent.take_looks import Looker
from helvetia.containers.model import StorageSize
from helvetia.containers.simulated_host import SimulatedHost
from helvetia.kernel.clock import ManualClock
from helvetia.kernel.identity import new_account_id, new_service_id
from helvetia.metering.nodes.model import ITEMS_MAX
from helvetia.metering.nodes.wire import to_wire_batch
from helvetia.metering.readers.host_reader import HostReader
from helvetia.web.config import BODY_BYTES_MAX


class _FullHost(SimulatedHost):
    """Holds as many volumes as wanted, with names as long as a container's."""

    holders = 0

    async def read_storage(self) -> list[StorageSize]:
        account_id, service_id = new_account_id(), new_service_id()
        return [
            StorageSize(
                holder=f"{number:064x}",
                kind="volume",
                account_id=account_id,
                service_id=service_id,
                sampled_ns=2**60,
                size_bytes=2**50,
            )
            for number in range(self.holders)
        ]


async def _looks(clock: ManualClock, holders: int) -> tuple[list[int], list[int | None], int]:
    host = _FullHost("test", clock)
    host.holders = holders
    batches = await Looker(clock, host, HostReader(host), interval_s=10, host_timeout_s=5).sample_storage()
    named = [None if batch.held is None else len(batch.held) for batch in batches]
    return [len(batch.items) for batch in batches], named, max(len(to_wire_batch(batch)) for batch in batches)


async def test_the_end_of_a_look_names_all_that_is_there_and_every_part_fits_in_a_post(clock: ManualClock) -> None:
    assert (await _looks(clock, 0))[:2] == ([0], [0])
    items, named, longest = await _looks(clock, 2_900)
    assert items == [*[ITEMS_MAX] * 14, 100, 0]
    assert named == [None] * 15 + [2_900]
    assert longest < BODY_BYTES_MAX


async def test_more_names_than_fit_in_a_post_end_nothing(clock: ManualClock) -> None:
    items, named, _ = await _looks(clock, 3_200)
    assert sum(items) == 3_200
    assert set(named) == {None}
