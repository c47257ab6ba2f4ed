"""Running claims: in this process, in several, or on a cluster; each yields a claim as soon as it is done."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from contextlib import AbstractContextManager, contextmanager, nullcontext

from pmasolve.pages import draw
from pmasolve.records import Section

from . import suite
from .claims import ClaimModule, Level, Result, Row
from .fingerprints import fingerprint
from .output import section
from .store import Done

Note = Callable[[Row], None]


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def measure(module: ClaimModule, level: Level, note: Note = lambda row: None) -> Done:
    """Run one claim and draw its figure."""
    key = fingerprint(module, level)  # before: sources may change under a long run
    found = section(suite.run(module, level, note))
    return Done(found, draw(found), key)


def measure_named(name: str, level: Level) -> Done:
    """The same by the name of the claim's module, which is all that goes to another process."""
    return measure(importlib.import_module(name), level)


def one_by_one(modules: Sequence[ClaimModule], level: Level, note: Callable[[ClaimModule], Note]) -> Iterator[Done]:
    """In this process; ``note(module)`` is told of every check of the module."""
    for module in modules:
        yield measure(module, level, note(module))


def side_by_side(modules: Sequence[ClaimModule], level: Level, executor: Executor) -> Iterator[Done]:
    """On an executor: processes of this machine or of a cluster.

    A claim whose process dies is a claim that crashed.
    """
    futures = {executor.submit(measure_named, module.__name__, level): module for module in modules}
    for future in as_completed(futures):
        yield _outcome(future, futures[future], level)


def _outcome(future: Future[Done], module: ClaimModule, level: Level) -> Done:
    expected = fingerprint(module, level)
    try:
        done = future.result()
    except Exception:  # the process was killed, or the cluster lost it
        return Done(_crashed(module, traceback.format_exc()), None, expected)
    if done.fingerprint == expected:
        return done
    words = "the worker that ran this claim has other sources or versions than this machine: install the same there"
    return Done(_crashed(module, words), None, expected)


def _crashed(module: ClaimModule, words: str) -> Section:
    return section(Result(module.CLAIM, (), words))


@contextmanager
def processes(jobs: int) -> Iterator[Executor]:
    """Processes of this machine, started afresh (spawn); left early, they end at once."""
    before = set(multiprocessing.active_children())
    executor = ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"))
    try:
        yield executor
    except BaseException:
        executor.shutdown(wait=False, cancel_futures=True)
        for child in set(multiprocessing.active_children()) - before:
            child.terminate()
        raise
    executor.shutdown()


def workers(jobs: int, scheduler: str | None) -> AbstractContextManager[Executor | None]:
    """The executor to use; None where one process is enough.

    Raises
    ------
    ConnectionError : on entering, if nobody answers at the scheduler's address.
    """
    if scheduler is not None:  # imported only here: it takes a second, and is an extra
        return importlib.import_module(".cluster", __package__).cluster(scheduler)
    return processes(jobs) if jobs > 1 else nullcontext()
