"""`helvetia worker`: metering, reconciling, reporting and syncing, in the background."""

from dishka import AsyncContainer

from helvetia.cli.run import run_in_house, stop_on_signal


def worker() -> int:
    """Run the worker. Several may run; one at a time holds the lease and works, the others wait for it.

    Example: helvetia worker
    """
    return run_in_house(_work)


async def _work(house: AsyncContainer) -> int:
    from helvetia.worker.main import Worker

    await (await house.get(Worker)).run(stop_on_signal())
    return 0
