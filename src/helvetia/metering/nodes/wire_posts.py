"""The border between an agent and the server for several looks at once: JSON in columns, packed by gzip.

A sighting that cannot be read is None, so that it alone is refused; a post that cannot be read, or that unpacks to more
than POST_BYTES_MAX, is InvalidBatch.
"""

import gzip
import zlib
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from helvetia.containers.model import ContainerRecord
from helvetia.metering.errors import InvalidBatch
from helvetia.metering.nodes.model import (
    LISTED_MAX,
    READINGS_MAX,
    SIGHTINGS_MAX,
    NodeItem,
    NodePost,
    NodeSighting,
    PostAnswer,
)
from helvetia.metering.nodes.wire import INT64_MAX, fits, read_clocks

POST_BYTES_MAX = 8 * 2**20
"""Unpacked."""

PACKED_BYTES_MAX = 256 * 2**10
"""What the body of any request may have (web/config.py)."""

CLOCKS_MAX = 1_000
_GZIP_BITS = 31
_Int64 = Annotated[int, Field(ge=-INT64_MAX, le=INT64_MAX)]
_Column = list[_Int64 | None]
_ANSWER = TypeAdapter(PostAnswer)


class _Seen(BaseModel):
    """`readings`: one list for each of COLUMNS, all of one length; or none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    record: ContainerRecord
    looked_ns: int = Field(ge=0, le=INT64_MAX)
    told_ns: int = Field(default=0, ge=0, le=INT64_MAX)
    readings: tuple[()] | tuple[list[_Int64], _Column, _Column, _Column, _Column, _Column, _Column] = ()


class _Post(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    interval_ms: int = Field(ge=100, le=60_000)
    sightings: list[Any] = Field(max_length=SIGHTINGS_MAX)
    listed: list[str] | None = Field(default=None, max_length=LISTED_MAX)
    listed_ns: int = Field(default=0, ge=0, le=INT64_MAX)
    clocks: list[Any] = Field(default=[], max_length=CLOCKS_MAX)


def pack_post(body: bytes) -> bytes:
    """JSON of a post as it is sent."""
    return gzip.compress(body, compresslevel=1, mtime=0)


def from_wire_post(packed: bytes) -> NodePost:
    """Raises InvalidBatch."""
    try:
        post = _Post.model_validate_json(_unpack(packed))
    except ValidationError as error:
        raise InvalidBatch(problems=[str(one["loc"]) for one in error.errors()][:10]) from None
    sightings = [_sighting(one) for one in post.sightings]
    count = sum(len(one.columns[0]) for one in sightings if one is not None and one.columns)
    if count > READINGS_MAX:
        raise InvalidBatch(readings=count, readings_max=READINGS_MAX)
    clocks = [one for one in map(read_clocks, post.clocks) if one is not None]
    return NodePost(
        interval_ms=post.interval_ms,
        sightings=sightings,
        listed=post.listed,
        listed_ns=post.listed_ns,
        clocks=clocks,
    )


def _unpack(packed: bytes) -> bytes:
    unpacker = zlib.decompressobj(_GZIP_BITS)
    try:
        body = unpacker.decompress(packed, POST_BYTES_MAX)
    except zlib.error:
        raise InvalidBatch from None
    if not unpacker.eof or unpacker.unused_data:
        raise InvalidBatch(bytes_max=POST_BYTES_MAX)
    return body


def _sighting(value: object) -> NodeSighting | None:
    try:
        seen = _Seen.model_validate(value)
    except ValidationError:
        return None
    is_square = len({len(column) for column in seen.readings}) <= 1
    if not is_square or not fits(NodeItem(record=seen.record)):
        return None
    return NodeSighting(record=seen.record, looked_ns=seen.looked_ns, told_ns=seen.told_ns, columns=seen.readings)


def to_wire_post_answer(answer: PostAnswer) -> bytes:
    return _ANSWER.dump_json(answer)


def from_wire_post_answer(body: bytes) -> PostAnswer:
    """Raises InvalidBatch."""
    try:
        return _ANSWER.validate_json(body)
    except ValidationError:
        raise InvalidBatch from None
