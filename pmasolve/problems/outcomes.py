"""How a computation ended, by name: the outcomes of the whole package."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """How a computation ended: a name, whether the answer is what was asked for, and advice where it is not.

    Outcomes of one name are equal, whatever their advice.

    Examples
    --------
    >>> STALLED.advising("take a shorter step") == STALLED
    True
    """

    name: str
    ok: bool
    advice: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.name}: {self.advice}" if self.advice else self.name

    def advising(self, advice: str) -> Outcome:
        """This outcome, with the advice of the one who knows why."""
        return replace(self, advice=advice)

    @property
    def stored(self) -> list[str | bool]:
        """As files keep it; `restored` reads it back."""
        return [self.name, self.ok, self.advice]

    @classmethod
    def restored(cls, stored: Any) -> Outcome:
        """What a file kept; a ``ValueError`` for anything else."""
        match stored:
            case [str(name), bool(ok), str(advice)]:
                return cls(name, ok, advice)
        raise ValueError("the outcome is no outcome")


REACHED = Outcome("reached", True)
INTERRUPTED = Outcome("interrupted", False, "stopped by the user; evolve again from the last potential for the rest")
UNDER_WAY = Outcome("under way", False, "saved while it ran; resume goes on from the last step that was saved")
LISTENER_FAILED = Outcome("on_step failed", False, "a function given as on_step raised an error")
STEP_LIMIT = Outcome("step limit", False, "the steps allowed are spent; raise the limit, or start from what was found")
STALLED = Outcome("stalled", False, "the error no longer falls; ask for less, or start nearer to the solution")
REFUSED = Outcome("refused", False, "the system refused a state at every step size tried")
NOT_FINITE = Outcome("not finite", False, "the potential overflowed; look for wild values in f, g or the start")
UNRESOLVED = Outcome("unresolved", False, "the grid does not resolve the solution; refine it, or smooth the densities")
EPS_UNRESOLVED = Outcome("eps unresolved", False, "the grid does not resolve ε; refine it, or take a larger ε")
CONVEXITY_LOST = Outcome(
    "convexity lost",
    False,
    "det(I + D²u) fell to 0 at every step size tried; refine the grid, smooth the densities or start nearer to the solution",
)
NOT_PARABOLIC = Outcome(
    "not parabolic",
    False,
    "h of the objective does not increase, or is beyond the floats, on the values of log(ρ/reference) that the flow meets: "
    "start nearer to the solution, or take an objective with h' > 0 there",
)
UNSTABLE_STEP = Outcome("unstable step", False, "the step amplifies what it should damp; take a shorter one")
POSITIVITY_LOST = Outcome(
    "positivity lost",
    False,
    "the density fell to 0 at every step size tried: the grid does not resolve it; refine the grid or smooth the densities",
)
POTENTIAL_NOT_FOUND = Outcome("potential not found", False, "the density is known, but its Brenier potential is not")
NO_DESCENT = Outcome("no descent", False, "no step lowers what is to be lowered; take shorter steps or another start")
OVERFITTING = Outcome(
    "overfitting",
    False,
    "points that were not fitted are less likely than by a normal law; take a smaller family or more points",
)
STOPPED_EARLY = Outcome("stopped early", True, "points that were not fitted became less likely; the best is kept")
LOW_ESS = Outcome("low ess", False, "importance samples of the map are worth few exact ones; take a larger family")
LARGE_KL = Outcome("large kl", False, "the map is not the posterior's; take a larger family, or weigh its samples")
MODES_MISSED = Outcome("modes missed", False, "there are modes that the map does not reach; give a larger spread")
REFERENCE_NOT_REACHED = Outcome(
    "reference not reached", False, "the map does not carry the points to the reference; take more or longer steps"
)
