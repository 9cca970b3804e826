"""Passwords and random secrets: how they are made, and the only form in which they are stored.

Passwords become argon2id hashes, off the event loop and a few at a time; session and token secrets carry 256 random
bits, so a plain SHA-256 of them is enough. An unknown e-mail address costs the same time as a wrong password.
"""

import asyncio
import hashlib
import secrets
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from helvetia.accounts.errors import SignInBusy

TOKEN_PREFIX = "hv_"  # noqa: S105 - the public beginning of every API token
_SECRET_BYTES = 32
_SECRET_LENGTH_MAX = 100
_HASHES_AT_A_TIME = 2
_WAIT_S = 10.0
_hasher = PasswordHasher()


def new_session_secret() -> str:
    return secrets.token_urlsafe(_SECRET_BYTES)


def new_token_secret() -> str:
    return TOKEN_PREFIX + secrets.token_urlsafe(_SECRET_BYTES)


def hash_secret(secret: str) -> bytes:
    """What the database keeps of a session or token secret; a secret too long to be ours hashes like any other."""
    return hashlib.sha256(secret[:_SECRET_LENGTH_MAX].encode("utf-8", "surrogatepass")).digest()


class Passwords:
    """Hashes and verifies passwords in threads, a bounded number at a time."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(_HASHES_AT_A_TIME)

    async def hash(self, password: str) -> str:
        async with asyncio.timeout(_WAIT_S), self._turns:
            return await asyncio.to_thread(_hasher.hash, password)

    async def verify(self, password: str, password_hash: str | None) -> bool:
        """Whether the password fits; without a hash the same work is done and the answer is no.

        Raises:
            SignInBusy: no turn came within 10 s.
        """
        try:
            async with asyncio.timeout(_WAIT_S), self._turns:
                return await asyncio.to_thread(_verify, password, password_hash)
        except TimeoutError as error:
            raise SignInBusy from error


@cache
def _decoy_hash() -> str:
    return _hasher.hash(new_session_secret())


def _verify(password: str, password_hash: str | None) -> bool:
    decoy = _decoy_hash()
    try:
        _hasher.verify(password_hash or decoy, password)
    except (VerificationError, InvalidHashError):
        return False
    return password_hash is not None
