from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from longtail.signals import StopSignals

ENDING = (signal.SIGTERM, signal.SIGINT)


class Stopped(Exception):
    pass


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    def stop(number: int, _: object) -> None:
        raise Stopped(number)

    before = {number: signal.signal(number, stop) for number in ENDING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_comes_when_it_is_let(number: signal.Signals) -> None:
    reached = []

    def work() -> None:
        with StopSignals() as signals:
            signals.obey()
            signal.raise_signal(number)
            reached.append("after the signal")
            signals.obey()
            reached.append("after it was let come")

    with pytest.raises(Stopped, match=str(int(number))):
        work()
    assert reached == ["after the signal"]
    with pytest.raises(Stopped):
        signal.raise_signal(number)  # no longer held back


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_that_came_last_comes_after_the_block(number: signal.Signals) -> None:
    reached = []

    def work() -> None:
        with StopSignals() as signals:
            signal.raise_signal(number)
            reached.append("end")
        signals.obey()
        reached.append("beyond")

    with pytest.raises(Stopped, match=str(int(number))):
        work()
    assert reached == ["end"]


def test_an_error_comes_before_a_signal() -> None:
    def work() -> None:
        with StopSignals():
            signal.raise_signal(signal.SIGTERM)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    with pytest.raises(Stopped):
        signal.raise_signal(signal.SIGTERM)


def test_a_signal_that_is_ignored_stays_so() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with StopSignals() as signals:
        for _ in range(2):
            signal.raise_signal(signal.SIGINT)
            signals.obey()
            assert signals.received is None
        assert signal.getsignal(signal.SIGINT) == signals._note  # noted again, as no lock may be interrupted
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    signals.obey()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_a_second_signal_is_ignored_where_the_first_ones_handler_had_it_so() -> None:
    reached = []

    def stop_once(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_IGN)
        raise Stopped(number)

    signal.signal(signal.SIGINT, stop_once)

    def work() -> None:
        with StopSignals() as signals:
            signal.raise_signal(signal.SIGINT)
            signals.obey()

    with pytest.raises(Stopped):
        work()
    signal.raise_signal(signal.SIGINT)
    reached.append("cleaning up")
    assert reached == ["cleaning up"]
    with pytest.raises(Stopped):
        signal.raise_signal(signal.SIGTERM)  # another one is as before


def test_a_thread_has_nothing_to_hold_back() -> None:
    seen = []

    def work() -> None:
        with StopSignals() as signals:
            signals.obey()
            seen.append([signal.getsignal(number) for number in ENDING])

    before = [signal.getsignal(number) for number in ENDING]
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
