"""Libraries that a plain installation leaves out: where one is missing, the error names the extra that has it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Around the import of a library that belongs to an extra.

    Raises
    ------
    ModuleNotFoundError : it is not installed; with the command that installs it.

    Examples
    --------
    >>> with extra("plot"):
    ...     import a_library_that_nobody_has
    Traceback (most recent call last):
    ...
    ModuleNotFoundError: a_library_that_nobody_has is not installed: in the folder of pmasolve's sources, pip install '.[plot]'
    """
    try:
        yield
    except ModuleNotFoundError as error:
        words = f"{error.name} is not installed: {installing(name)}"
        raise ModuleNotFoundError(words, name=error.name) from None


def installing(name: str) -> str:
    """How to install an extra; the package is on no index, so a bare name would install nothing, or somebody else's.

    Examples
    --------
    >>> installing("plot")
    "in the folder of pmasolve's sources, pip install '.[plot]'"
    """
    return f"in the folder of pmasolve's sources, pip install '.[{name}]'"
