"""Requests to stop: SIGINT and SIGTERM, heard between two steps."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

Asked = Callable[[], str]
"""Name of the signal that asked to stop; empty if none did."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def never() -> str:
    """Nobody asks."""
    return ""


@contextmanager
def listening() -> Iterator[Asked]:
    """Yield what tells whether a signal has asked to stop; a second signal is no longer caught.

    Signals reach the main thread alone; in another one nobody ever asks.
    """
    if threading.current_thread() is not threading.main_thread():
        yield never
        return
    heard: list[str] = []
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def hear(number: int, frame: FrameType | None) -> None:
        heard.append(signal.Signals(number).name)
        restore()

    for number in _SIGNALS:
        signal.signal(number, hear)
    try:
        yield lambda: heard[0] if heard else ""
    finally:
        restore()
