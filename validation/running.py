"""Running claims: in this process, in several, or on a cluster; each yields a claim as soon as it is done."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import cast

from pmasolve.machine.progress import progress_bar
from pmasolve.studies.pages import drawing_of

from . import suite
from .claims import ClaimModule, Level, Result, Row
from .fingerprints import fingerprint
from .output import section
from .store import Done

Note = Callable[[Row], None]


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Job:
    """A claim to run at a level, and the fingerprint of its sources when that was decided: they may change under a long run."""

    module: ClaimModule
    level: Level
    key: str


def measure(job: Job, note: Note = lambda row: None) -> Done:
    """Run one claim and draw its figure; what runs inside shows no progress of its own."""
    with progress_bar(job.module.CLAIM.title, 1.0, False):
        found = section(suite.run(job.module, job.level, note))
    return Done(found, drawing_of(found), job.key)


def measure_named(name: str, level: Level, key: str, foreign: bool) -> Done:
    """The same by the name of the claim's module, which is all that goes to another process; on a foreign machine after a check.

    Raises
    ------
    RuntimeError : the machine has other sources or versions.
    """
    job = Job(cast(ClaimModule, importlib.import_module(name)), level, key)
    if foreign and fingerprint(job.module, level) != key:
        raise RuntimeError(
            "this worker has other sources or versions than the machine that asks: install the same on both"
        )
    return measure(job)


def one_by_one(jobs: Sequence[Job], note: Callable[[ClaimModule], Note]) -> Iterator[Done]:
    """In this process; ``note(module)`` is told of every check of the module."""
    for job in jobs:
        yield measure(job, note(job.module))


def side_by_side(jobs: Sequence[Job], executor: Executor, *, foreign: bool) -> Iterator[Done]:
    """On an executor: processes of this machine, or of a cluster (foreign).

    A claim whose process dies is a claim that crashed.
    """
    futures = {executor.submit(measure_named, job.module.__name__, job.level, job.key, foreign): job for job in jobs}
    for future in as_completed(futures):
        yield _outcome(future, futures[future])


def _outcome(future: Future[Done], job: Job) -> Done:
    try:
        return future.result()
    except Exception:  # the process was killed, or the cluster lost it
        return Done(section(Result(job.module.CLAIM, (), traceback.format_exc())), None, job.key)


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
    ConnectionError : the extra ``distributed`` is not installed; on entering, if nobody answers at the scheduler's address.
    """
    if scheduler is not None:
        try:  # imported only here: it takes a second, and is an extra
            return importlib.import_module(".cluster", __package__).cluster(scheduler)
        except ImportError as error:
            raise ConnectionError(f"Dask's scheduler needs pip install 'pmasolve[distributed]' ({error})") from error
    return processes(jobs) if jobs > 1 else nullcontext()
