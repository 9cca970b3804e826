"""The circuit's states, by a clock that a test moves."""

from datetime import UTC, datetime

from helvetia.kernel.clock import ManualClock
from helvetia.stripe_gateway.circuit import FAILURES_MAX, OPEN_S, Circuit


class TickingClock(ManualClock):
    def __init__(self) -> None:
        super().__init__(datetime(2026, 3, 10, tzinfo=UTC))
        self.ticked_s = 0.0

    def monotonic(self) -> float:
        return self.ticked_s


def opened() -> tuple[Circuit, TickingClock]:
    clock = TickingClock()
    circuit = Circuit(clock)
    for _ in range(FAILURES_MAX):
        assert circuit.may_pass()
        circuit.failed()
    return circuit, clock


def test_five_failures_in_a_row_open_it_and_calls_fail_at_once() -> None:
    circuit, clock = opened()
    assert circuit.is_open
    clock.ticked_s += OPEN_S - 0.1
    assert not circuit.may_pass()


def test_success_in_between_keeps_it_closed() -> None:
    circuit = Circuit(TickingClock())
    for _ in range(3 * FAILURES_MAX):
        for _ in range(FAILURES_MAX - 1):
            circuit.failed()
        circuit.succeeded()
    assert not circuit.is_open


def test_one_trial_at_a_time_closes_it_when_stripe_is_back() -> None:
    circuit, clock = opened()
    clock.ticked_s += OPEN_S
    assert [circuit.may_pass() for _ in range(3)] == [True, False, False]
    circuit.succeeded()
    assert not circuit.is_open
    assert all(circuit.may_pass() for _ in range(3))


def test_failed_trial_opens_it_anew() -> None:
    circuit, clock = opened()
    clock.ticked_s += OPEN_S
    assert circuit.may_pass()
    circuit.failed()
    clock.ticked_s += OPEN_S - 0.1
    assert not circuit.may_pass()
    clock.ticked_s += 0.1
    assert circuit.may_pass()


def test_trial_that_was_left_gives_way_to_the_next() -> None:
    circuit, clock = opened()
    clock.ticked_s += OPEN_S
    assert circuit.may_pass()
    circuit.left()
    assert circuit.is_open
    assert circuit.may_pass()
