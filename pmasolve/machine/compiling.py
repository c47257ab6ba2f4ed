"""Compilation of kernels: what is compiled for other kernels only, and a word to who waits for it the first time."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numba
from numba.core import event

# Without the ways in from Python and from C, which take a sixth of the time of a compilation.
INNER = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
NOTICE = (
    "pmasolve: compiling loops for this machine; this happens once, seconds for each kind of problem "
    "(`pmasolve warmup` does it beforehand)"
)


def inner(function: Callable[..., Any] | None = None, **options: Any) -> Callable[..., Any]:
    """`numba.njit` for a function that only compiled code calls."""
    compile_with = numba.njit(**INNER, **options)
    return compile_with if function is None else compile_with(function)


class Notice(event.Listener):
    """Says once, on a terminal, that loops of this package are being compiled; loading what is compiled says nothing."""

    def __init__(self) -> None:
        self.said = False

    def on_start(self, event: event.Event) -> None:
        """A compilation begins."""
        mine = event.data["dispatcher"].py_func.__module__.split(".")[0] == __name__.split(".")[0]
        if mine and not self.said and sys.stderr.isatty():
            self.said = True
            print(NOTICE, file=sys.stderr)

    def on_end(self, event: event.Event) -> None:
        """Nothing to say."""


event.register("numba:compile", Notice())
