"""A Docker Engine as four calls: get, post, delete and a stream of lines, over aiodocker's connection.

Promises: each call refuses to run inside a transaction, is bounded in time, and ends in an answer, an `EngineRefusal`
(the engine understood and said no) or `HostUnavailable` (it did not answer, or not in a way we know).
"""

import asyncio
import io
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import aiodocker
import aiohttp
from aiodocker.exceptions import DockerError

from helvetia.containers.errors import HostUnavailable
from helvetia.database.pool import assert_no_transaction

Params = Mapping[str, str]
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_API_VERSION_MAX: Final = (1, 48)  # the newest whose shapes convert.py reads; newer engines still speak it
_CONNECTION_FAILED: Final = 900  # aiodocker's own status for "no connection"
_SERVICE_UNAVAILABLE: Final = 503


class EngineRefusal(Exception):
    """The engine answered with an error: its HTTP status and its own words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class DockerEngine:
    """One engine, connected at the first call. `url` None asks DOCKER_HOST, then the usual sockets."""

    def __init__(self, url: str | None, *, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._url = url
        self._docker: aiodocker.Docker | None = None
        self._connecting = asyncio.Lock()

    async def get(self, path: str, params: Params | None = None, *, timeout_s: float | None = None) -> Any:
        return await self._call("GET", path, params=params, timeout_s=timeout_s)

    async def post(
        self,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        params: Params | None = None,
        timeout_s: float | None = None,
    ) -> Any:
        return await self._call("POST", path, params=params, body=body, timeout_s=timeout_s)

    async def delete(self, path: str, params: Params | None = None) -> None:
        await self._call("DELETE", path, params=params)

    async def lines(
        self,
        path: str,
        *,
        method: str = "GET",
        params: Params | None = None,
        data: bytes | None = None,
        content_type: str = "application/json",
        silence_max_s: float,
    ) -> AsyncIterator[bytes]:
        """The lines of a streamed answer; ends with the connection, or after `silence_max_s` without a line."""
        assert_no_transaction()
        response = await self._open(method, path, params=params, data=data, content_type=content_type)
        try:
            while True:
                try:
                    async with asyncio.timeout(silence_max_s):
                        line = await response.content.readline()
                except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
                    return  # a cut, a silence or a line beyond any bound: the caller connects again
                if not line:
                    return
                yield line
        finally:
            response.close()

    async def is_local(self) -> bool:
        """Whether the engine is reached by a socket of this machine (not TCP, not SSH); asks nothing of it."""
        try:
            docker = self._docker or aiodocker.Docker(url=self._url)
        except (AssertionError, ValueError):
            return False
        if docker is not self._docker:
            await docker.close()
        return type(docker.connector) is aiohttp.UnixConnector

    async def close(self) -> None:
        docker, self._docker = self._docker, None
        if docker is not None:
            await docker.close()

    async def _call(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: Mapping[str, object] | None = None,
        timeout_s: float | None = None,
    ) -> Any:
        assert_no_transaction()
        try:
            async with asyncio.timeout(timeout_s or self.timeout_s):
                docker = await self._connect()
                return await docker._query_json(path, method, params=params, data=body)  # noqa: SLF001 - the public calls lack size=1, one-shot and v=1
        except Exception as error:
            raise _translated(error) from error

    async def _open(
        self, method: str, path: str, *, params: Params | None, data: bytes | None, content_type: str
    ) -> aiohttp.ClientResponse:
        try:
            async with asyncio.timeout(self.timeout_s):
                docker = await self._connect()
                return await docker._do_query(  # noqa: SLF001 - as above
                    path,
                    method,
                    params=params,
                    data=None if data is None else io.BytesIO(data),
                    headers={"Content-Type": content_type},
                )
        except Exception as error:
            raise _translated(error) from error

    async def _connect(self) -> aiodocker.Docker:
        async with self._connecting:
            if self._docker is None:
                try:
                    docker = aiodocker.Docker(url=self._url)
                except (AssertionError, ValueError) as error:  # how aiodocker says that it found no engine
                    raise HostUnavailable("No Docker Engine was found on this machine.") from error
                try:
                    version = await docker._query_json("version", versioned_api=False)  # noqa: SLF001 - as above
                    docker.api_version = choose_api_version(version["ApiVersion"], version.get("MinAPIVersion", "1.0"))
                except BaseException:
                    await docker.close()
                    raise
                self._docker = docker
            return self._docker


async def each(call: Callable[[_Item], Awaitable[_Result]], items: Sequence[_Item], parallel_max: int) -> list[_Result]:
    """`call` of each item, in order, so many at once; the first failure ends all."""
    limit = asyncio.Semaphore(parallel_max)

    async def one(item: _Item) -> _Result:
        async with limit:
            return await call(item)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(item)) for item in items]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures
    return [task.result() for task in tasks]


def choose_api_version(newest: str, oldest: str) -> str:
    """The version to speak: the newest both sides know.

    Raises:
        ValueError: these are not versions.
    """
    chosen = max(min(_parse_version(newest), _API_VERSION_MAX), _parse_version(oldest))
    return f"v{chosen[0]}.{chosen[1]}"


def _parse_version(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{1,3})\.([0-9]{1,3})", text)
    if match is None:
        raise ValueError(f"{text!r} is not an API version")
    return int(match[1]), int(match[2])


def _translated(error: Exception) -> Exception:
    if isinstance(error, HostUnavailable):
        return error
    if isinstance(error, DockerError):
        if error.status in {_CONNECTION_FAILED, _SERVICE_UNAVAILABLE}:
            return HostUnavailable()
        return EngineRefusal(error.status, error.message)
    if isinstance(error, aiohttp.ClientError | OSError | TimeoutError):
        return HostUnavailable()
    if isinstance(error, ValueError | KeyError | TypeError):  # not JSON, or not an answer of an engine
        return HostUnavailable("The container engine answers in a way that is not understood.")
    return error
