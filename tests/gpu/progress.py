"""Progress on the terminal: through rich, or plain lines where it is not installed."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

try:
    from rich.console import Console
except ImportError:  # not needed for a measurement
    CONSOLE = None
else:
    CONSOLE = Console(stderr=True)


def say(text: str) -> None:
    """Print a line."""
    if CONSOLE is None:
        print(text, file=sys.stderr)
    else:
        CONSOLE.print(text, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def working(title: str) -> Iterator[None]:
    """Show what is being worked at."""
    if CONSOLE is None or not CONSOLE.is_terminal:
        say(title)
        yield
    else:
        with CONSOLE.status(title):
            yield
