"""Ctrl-C while compiled code runs: a ``KeyboardInterrupt``, whatever the compiler makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def breakable() -> Iterator[None]:
    """A block, or as a decorator a function, in which compiled functions return several arrays.

    Numba calls Python to wrap these.  There an interruption that came meanwhile is raised, of which Numba makes a
    ``SystemError`` that nobody catches; here it is a ``KeyboardInterrupt`` again.

    Examples
    --------
    >>> with breakable():
    ...     total = 1 + 1
    >>> total
    2
    """
    try:
        yield
    except SystemError as error:
        cause: BaseException | None = error
        while isinstance(cause, SystemError):
            cause = cause.__cause__
        if isinstance(cause, KeyboardInterrupt):
            raise KeyboardInterrupt from error
        raise
