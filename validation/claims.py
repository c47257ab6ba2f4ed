"""What a claim is, what it demands of its studies, and the record of running it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

import numpy as np

from pmasolve import Study
from pmasolve.machine.arrays import Array

from .evidence import Rows


class Level(Enum):
    """How much to run."""

    QUICK = "quick"
    FULL = "full"


@dataclass(frozen=True)
class Claim:
    """One statement of the theory.

    Attributes
    ----------
    name : what ``--claim`` takes.
    title : a few words.
    statement : the mathematics, readable as plain text.
    source : papers (arXiv numbers) and equations.
    expected : orders or values that the theory gives.
    tolerance : what is accepted, in words; the numbers act through the demands of the checks.
    problem : the test problems in words.
    mutations : what is broken on purpose, to see that the checks would notice.
    """

    name: str
    title: str
    statement: str
    source: str
    expected: str
    tolerance: str
    problem: str
    mutations: str


class Demand(Protocol):
    """A condition on running orders and errors, such as `pmasolve.Band`; its ``str`` is for the table."""

    def admits(self, orders: Array, errors: Array) -> bool:
        """Whether it is met."""
        ...


@dataclass(frozen=True)
class AtMost:
    """Every error ≤ ``bound``: for identities, exact up to rounding."""

    bound: float

    def admits(self, orders: Array, errors: Array) -> bool:
        """Orders mean nothing here."""
        return bool(np.max(errors) <= self.bound)

    def __str__(self) -> str:
        return f"every error ≤ {self.bound:g}"


@dataclass(frozen=True)
class AtLeast:
    """Every error ≥ ``bound``: for limits that must be seen not to hold."""

    bound: float

    def admits(self, orders: Array, errors: Array) -> bool:
        """NaN is not admitted."""
        return bool(np.min(errors) >= self.bound)

    def __str__(self) -> str:
        return f"every error ≥ {self.bound:g}"


@dataclass(frozen=True, eq=False)
class Check:
    """One study of one test problem, or `Rows` of other evidence about it, and what is demanded of it.

    With ``mutation`` set, something was broken on purpose and the check holds if every demand is refused.
    """

    case: str
    study: Study | Rows
    demands: Mapping[str, Demand]  # by the name of the norm
    mutation: str = ""

    def verdict(self, norm: str) -> bool:
        """Whether the demand on one norm came out as it should.

        A mutation whose errors are not finite shows nothing: it broke the program, not the statement.
        """
        errors = self.study.errors[norm]
        met = self.demands[norm].admits(self.study.orders(norm), errors)
        return bool(np.all(np.isfinite(errors))) and not met if self.mutation else met

    @property
    def holds(self) -> bool:
        """All verdicts."""
        return all(self.verdict(norm) for norm in self.demands)

    @property
    def rows(self) -> Rows:
        """What there is to print and draw, in one form for studies and for all else."""
        return Rows.of(self.study, tuple(self.demands)) if isinstance(self.study, Study) else self.study

    @property
    def label(self) -> str:
        """Case and mutation."""
        return f"{self.case}, broken: {self.mutation}" if self.mutation else self.case


class ClaimModule(Protocol):
    """A file of this package that holds a claim."""

    __name__: str
    CLAIM: Claim

    def study(self, level: Level) -> Iterator[Check]:
        """Run the checks, one after the other."""
        ...


@dataclass(frozen=True, eq=False)
class Row:
    """A check and the seconds it took."""

    check: Check
    seconds: float


@dataclass(frozen=True, eq=False)
class Result:
    """What came of one claim; ``crash`` holds the traceback where it did not run to its end."""

    claim: Claim
    rows: tuple[Row, ...] = field(default=())
    crash: str = ""

    @property
    def mutated(self) -> bool:
        """Whether at least one mutation was tried."""
        return any(row.check.mutation for row in self.rows)

    @property
    def holds(self) -> bool:
        """All checks hold, a mutation among them, and nothing crashed."""
        return not self.crash and self.mutated and all(row.check.holds for row in self.rows)

    @property
    def seconds(self) -> float:
        """Time of all checks."""
        return sum(row.seconds for row in self.rows)
