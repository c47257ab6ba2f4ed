"""How a computation ended, by name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """How a computation ended: a name, whether the answer is what was asked for, and advice where it is not."""

    name: str
    ok: bool
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.advice}" if self.advice else self.name


REACHED = Outcome("reached", True)
CONVEXITY_LOST = Outcome(
    "convexity lost",
    False,
    "det(I + D²u) fell to 0 at every step size tried; refine the grid, smooth the densities or start nearer to the solution",
)
STEP_LIMIT = Outcome("step limit", False, "the integrator gave up; loosen rtol, or refine the grid where D²u is large")
NOT_FINITE = Outcome("not finite", False, "the potential overflowed; look for wild values in f, g or the start")
INTERRUPTED = Outcome("interrupted", False, "stopped by the user; evolve again from the last potential for the rest")
