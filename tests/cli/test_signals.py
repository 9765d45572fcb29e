"""What a terminated run answers with. That it clears up is in `test_crash.py`."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from prenorm.cli.signals import Terminated, raise_on_termination


@pytest.fixture(params=[signal.SIGTERM, signal.SIGHUP])
def number(request: pytest.FixtureRequest) -> Iterator[signal.Signals]:
    """A signal that ends a process; afterwards handled as before."""
    before = signal.signal(request.param, signal.SIG_DFL)
    yield request.param
    signal.signal(request.param, before)


def test_the_first_raises_and_the_second_ends(number: signal.Signals) -> None:
    raise_on_termination()
    with pytest.raises(Terminated) as ended:
        os.kill(os.getpid(), number)
    assert ended.value.exit_code == 128 + number
    assert signal.getsignal(number) is signal.SIG_DFL


def test_ignored_stays_ignored(number: signal.Signals) -> None:
    """nohup ignores SIGHUP on behalf of the command."""
    signal.signal(number, signal.SIG_IGN)
    raise_on_termination()
    os.kill(os.getpid(), number)
    assert signal.getsignal(number) is signal.SIG_IGN
