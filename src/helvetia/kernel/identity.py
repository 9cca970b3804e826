"""Identifiers: UUIDv7, made here so that any PostgreSQL can hold them; one type per kind."""

from typing import NewType
from uuid import UUID

import uuid_utils.compat

AccountId = NewType("AccountId", UUID)
ServiceId = NewType("ServiceId", UUID)


def new_id() -> UUID:
    """A new UUIDv7: unguessable enough to be public, ordered enough to be a key."""
    return uuid_utils.compat.uuid7()


def new_account_id() -> AccountId:
    return AccountId(new_id())


def new_service_id() -> ServiceId:
    return ServiceId(new_id())
