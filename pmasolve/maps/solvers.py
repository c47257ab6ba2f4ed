"""What solves one problem, in words, so that stored results are gone on with by the same settings only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from dis import get_instructions
from functools import partial
from types import CodeType, FunctionType
from typing import Any

PLAIN_TYPES = (bool, int, float, complex, str, bytes, type(None))
OURS = f"{__name__.split('.', maxsplit=1)[0]}."


def described_solver(solve: Callable[..., Any]) -> str:
    """A callable by its name and by every plain value that it is made with: defaults, constants, what it closes over.

    Two that differ in an option have other words; the words do not change from one process to the next.

    Examples
    --------
    >>> from pmasolve import transport
    >>> described_solver(partial(transport, gap=1e-4))
    'transport(gap=0.0001)'
    >>> described_solver(lambda problem: transport(problem, gap=1e-5))
    "<lambda>('gap', 'transport', 1e-05)"
    """
    match solve:
        case partial():
            options = [*map(repr, solve.args), *(f"{name}={value!r}" for name, value in sorted(solve.keywords.items()))]
            return f"{described_solver(solve.func)}({', '.join(options)})"
        case FunctionType(__name__=name) if solve.__module__.startswith(OURS) and name.isidentifier():
            return solve.__name__
        case FunctionType():
            parts = sorted({repr(value) for value in _parts(solve)})
            return f"{solve.__name__}({', '.join(parts)})"
    return repr(solve) if is_dataclass(solve) else type(solve).__name__


def _parts(solve: FunctionType) -> Iterator[Any]:
    """Plain values and names of a function, each once or more."""
    yield from _plain((*(solve.__defaults__ or ()), *(solve.__kwdefaults__ or {}).values()))
    held = zip(solve.__code__.co_freevars, solve.__closure__ or (), strict=True)
    changed = {
        step.argval for step in get_instructions(solve.__code__) if step.opname in ("STORE_DEREF", "STORE_GLOBAL")
    }
    yield from _plain(cell.cell_contents for name, cell in held if name not in changed)  # a counter is no option
    for code in _codes(solve.__code__):
        yield from code.co_names
        yield from _plain(value for value in code.co_consts if value is not None and value != solve.__doc__)
        yield from _plain(
            solve.__globals__[name] for name in code.co_names if name in solve.__globals__.keys() - changed
        )


def _codes(code: CodeType) -> Iterator[CodeType]:
    """The code of a function, and of those inside it."""
    yield code
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _codes(inner)


def _plain(values: Any) -> Iterator[Any]:
    """Numbers, words, and records, whose words hold their numbers; those in tuples one by one."""
    for value in values:
        if isinstance(value, (tuple, frozenset)):
            yield from _plain(value)
        elif isinstance(value, PLAIN_TYPES) or (is_dataclass(value) and not isinstance(value, type)):
            yield value
