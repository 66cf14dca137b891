"""Looking again and again until Ctrl-C."""

import os
import signal

import pytest

from mfu.cli.watching import look_every


def test_ctrl_c_during_a_look_lets_it_end_and_then_stops() -> None:
    looks = []

    def look() -> None:
        looks.append("begun")
        os.kill(os.getpid(), signal.SIGINT)
        looks.append("ended")

    look_every(3600.0, look)
    assert looks == ["begun", "ended"]


def test_a_second_ctrl_c_ends_the_look_too() -> None:
    looks = []

    def look() -> None:
        looks.append("begun")
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        looks.append("ended")

    look_every(3600.0, look)
    assert looks == ["begun"]


def test_ctrl_c_ends_the_wait() -> None:
    before = signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    try:
        look_every(3600.0, _alarm)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_what_ctrl_c_did_before_it_does_again() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ValueError, match="broken"):
        look_every(3600.0, _broken)
    assert signal.getsignal(signal.SIGINT) is before


def _broken() -> None:
    raise ValueError("broken")


def _alarm() -> None:
    signal.setitimer(signal.ITIMER_REAL, 0.05)
