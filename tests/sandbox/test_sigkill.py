"""SIGKILL at random moments under parallel writers: what was answered is there, and nothing is there by half."""

from __future__ import annotations

import random
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from sandbox.harness import Http, Sandbox
from support.trials import choose, record

KEY = "sk_test_killed"
SEED = 20_261_028
KILLS = choose(small=5, full=100)
WRITERS = 4
LONGEST_LIFE_S = 0.6
WRITES_A_LIFE = 20  # so that the events of a life fit one page
LOOKED_INTO = 12


@dataclass(kw_only=True)
class Wish:
    """One write under its own idempotency key, and its answer if there was one."""

    key: str
    path: str
    form: dict[str, Any]
    answer: bytes | None = None


@dataclass(kw_only=True)
class House:
    """The server over one state file, and everything that was ever asked of it."""

    launch: Callable[..., Sandbox]
    state: str
    dice: random.Random
    wishes: list[Wish] = field(default_factory=list)
    price: str = ""

    def start(self) -> Http:
        self.running = self.launch("--state", self.state)
        return Http(base=self.running.base, key=KEY, session=self.running.session)

    def prepare(self, http: Http) -> None:
        product = http.post("/v1/products", {"name": "P"}).json()["id"]
        params = {"currency": "usd", "product": product, "unit_amount": "2900", "recurring[interval]": "month"}
        self.price = http.post("/v1/prices", params).json()["id"]

    def write_until_killed(self, number: int) -> list[Wish]:
        """Let the writers write, and kill the server at a random moment; every wish of this life."""
        made: list[list[Wish]] = [[] for _ in range(WRITERS)]
        threads = [
            threading.Thread(target=self._write, args=(f"{number}-{writer}", made[writer])) for writer in range(WRITERS)
        ]
        for thread in threads:
            thread.start()
        while not any(wish.answer for one in made for wish in list(one)):
            time.sleep(0.002)
        time.sleep(self.dice.uniform(0, LONGEST_LIFE_S))
        self.running.stop(signal.SIGKILL)
        for thread in threads:
            thread.join(30)
        return [wish for one in made for wish in one]

    def _write(self, name: str, made: list[Wish]) -> None:
        """Customers with a card, and a paid subscription for each, until the server is gone."""
        with requests.Session() as session:
            http = Http(base=self.running.base, key=KEY, session=session)
            for index in range(WRITES_A_LIFE):
                try:
                    customer = self._ask(http, made, f"{name}-{index}c", "/v1/customers", self._customer(name, index))
                    card = {"customer": customer["id"], "items[0][price]": self.price}
                    card["default_payment_method"] = self._card_of(http, customer["id"])
                    self._ask(http, made, f"{name}-{index}s", "/v1/subscriptions", card)
                except requests.RequestException:
                    return

    @staticmethod
    def _customer(name: str, index: int) -> dict[str, Any]:
        return {"name": f"{name}-{index}", "payment_method": "pm_card_visa"}

    @staticmethod
    def _card_of(http: Http, customer: str) -> str:
        return str(http.get(f"/v1/customers/{customer}/payment_methods").json()["data"][0]["id"])

    @staticmethod
    def _ask(http: Http, made: list[Wish], key: str, path: str, form: dict[str, Any]) -> Any:
        wish = Wish(key=key, path=path, form=form)
        made.append(wish)
        answer = http.post(path, form, Idempotency_Key=key)
        assert answer.status_code == 200, answer.text
        wish.answer = answer.content
        return answer.json()


def assert_kept(http: Http, wishes: list[Wish]) -> list[dict[str, Any]]:
    """Ask everything again: what was answered is replayed to the byte, the rest is done now, or was and is replayed."""
    objects = []
    for wish in wishes:
        again = http.post(wish.path, wish.form, Idempotency_Key=wish.key)
        assert again.status_code == 200, again.text
        if wish.answer is not None:
            assert again.content == wish.answer
            assert again.headers["Idempotent-Replayed"] == "true"
        objects.append(again.json())
    return objects


def assert_told_once(http: Http, objects: list[dict[str, Any]]) -> None:
    """The creation of each is in the list of events exactly once."""
    told = [
        event["data"]["object"]["id"]
        for kind in ("customer.created", "customer.subscription.created")
        for event in http.get("/v1/events", {"type": kind, "limit": "100"}).json()["data"]
    ]
    assert [made["id"] for made in objects if told.count(made["id"]) != 1] == []


def assert_whole(http: Http, made: dict[str, Any]) -> None:
    """An object is there with all that its creation makes."""
    if made["object"] == "customer":
        assert len(http.get(f"/v1/customers/{made['id']}/payment_methods").json()["data"]) == 1
        return
    shown = http.get(f"/v1/subscriptions/{made['id']}", {"expand[0]": "latest_invoice.payments"}).json()
    invoice = shown["latest_invoice"]
    assert (shown["status"], invoice["status"], invoice["amount_paid"]) == ("active", "paid", 2900)
    (payment,) = invoice["payments"]["data"]
    charges = http.get("/v1/charges", {"payment_intent": payment["payment"]["payment_intent"]}).json()["data"]
    assert [(charge["status"], charge["amount"]) for charge in charges] == [("succeeded", 2900)]


def rows(state: str, statement: str) -> list[Any]:
    file = sqlite3.connect(state)
    try:
        return file.execute(statement).fetchall()
    finally:
        file.close()


def test_nothing_answered_is_lost_and_nothing_is_half_written(launch: Callable[..., Sandbox], tmp_path: Path) -> None:
    house = House(launch=launch, state=str(tmp_path / "state.sqlite"), dice=random.Random(SEED))
    http = house.start()
    house.prepare(http)
    for number in range(KILLS):
        wishes = house.write_until_killed(number)
        http = house.start()
        objects = assert_kept(http, wishes)
        assert_told_once(http, objects)
        for made in house.dice.sample(objects, min(LOOKED_INTO, len(objects))):
            assert_whole(http, made)
        house.wishes += wishes
    house.running.stop()
    assert rows(house.state, "PRAGMA integrity_check") == [("ok",)]
    for kind, path in (("customer", "/v1/customers"), ("subscription", "/v1/subscriptions")):
        count = sum(wish.path == path for wish in house.wishes)
        assert rows(house.state, f"SELECT count(*) FROM objects WHERE kind='{kind}'") == [(count,)]
    record("sandbox killed under four writers: nothing answered is lost, nothing half-written", count=KILLS, seed=SEED)
