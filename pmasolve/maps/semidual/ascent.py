"""Newton's method on the entropic semi-dual: one ε on one grid.

    J(F) = ∫F dμ + ∫G dν,     G(y) = −log ∫ exp(F(x) − |x−y|²/2ε) dμ(x),     F, G in units of ε,

is concave with gradient μ − a, a(x) = ∫P(x|y) dν(y) the source marginal of the plan, and Hessian −S, ⟨d, S d⟩ = ∫Var(d(x)|y) dν(y).
A step moves G, not F: G − tE[d|y] followed by the soft transform back, F = −log ∫ exp(G − |x−y|²/2ε) dν, so that every
iterate is semiconcave, like the solution, and no worse than after a Sinkhorn half-step.  A step is judged by ∫F dμ + ∫G dν of the
pair, which is no more than J(F) and costs no plan.  Where no step raises it enough, a whole
Sinkhorn iteration is taken, which always raises J: convergence is global.  Short steps mean that d is so large somewhere that e^d
is not 1 + d; then S + λ diag(a) takes the place of S, with λ after Levenberg and Marquardt (half the work on blobs in near vacuum).
Far from the solution, as after a coarser grid, Sinkhorn iterations come first: they cost as much as four products with S.

S = diag(a) (1 − K), K the average over where the targets of x come from.  Where d varies slowly a (1 − K) ≈ A = −div(a Var ∇), and
where it varies fast K d ≈ 0: S⁻¹ ≈ A⁻¹ + diag(a)⁻¹ holds for both, and is what conjugate gradients are preconditioned with.  A⁻¹
alone, a V-cycle, is too small by the square of the windows' width for what varies fast, and takes two to three times the products
where windows are wide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np

from ...machine.arrays import Array
from ...problems.grids import Grid
from .multigrid import Multigrid
from .plans import ConditionalPlan, log_masses, plan, soft

Note = Callable[[Mapping[str, float]], None]

ARMIJO = 0.01
FAR, WORTH = (
    0.1,
    0.8,
)  # Σ|μ − a|/N beyond which Sinkhorn iterations are taken, while they leave less than this part of it
FAR_ON_ZEROS = 0.05  # in place of FAR where a density vanishes: Newton's equations are harder there
SHORTEST_ASCENT = 1 / 16  # a shorter step gains no more than a Sinkhorn iteration
KRYLOV_STEPS = 15  # more goes into directions whose steps are cut short
FORCING = 0.5
FEW_KRYLOV_STEPS = 5  # so many leave the preconditioner as it is for the next direction at the same ε
LEAST_DAMPING = 0.05


@dataclass(frozen=True, eq=False)
class Masses:
    """Source and target on the nodes, of mean 1."""

    grid: Grid
    mu: Array
    nu: Array

    @classmethod
    def of(cls, grid: Grid, mu: Array, nu: Array) -> Masses:
        """Normalise two densities ≥ 0."""
        mu, nu = mu / np.mean(mu), nu / np.mean(nu)
        return cls(grid, mu, nu)


@dataclass(eq=False)
class Iterate:
    """A potential F (units of ε), the plan that it makes, J, the plan's source marginal, and Σ|μ − a|/N.

    Besides, the V-cycle that led here, if it may serve again.  Both are most of the memory: an iterate that has been left has none.
    """

    F: Array
    plan: ConditionalPlan | None
    value: float
    marginal: Array
    l1: float
    multigrid: Multigrid | None = None

    def leave(self) -> Array:
        """G of the plan, which is forgotten."""
        assert self.plan is not None
        G, self.plan, self.multigrid = -self.plan.value, None, None
        return G


def iterate(masses: Masses, F: Array, eps: float) -> Iterate:
    """The plan of F: soft transform, marginal."""
    here = plan(masses.grid, F + log_masses(masses.mu), eps)
    a = here.adjoint(masses.nu)
    value = float(np.mean(F * masses.mu) - np.mean(here.value * masses.nu))
    return Iterate(F, here, value, a, float(np.mean(np.abs(masses.mu - a))))


def ascent(masses: Masses, F: Array, eps: float, note: Note, most_krylov: int = KRYLOV_STEPS) -> Iterator[Iterate]:
    """Iterates from F (units of ε): one to start with, then one more for each Newton step."""
    here, damping, directions = _approached(masses, iterate(masses, F, eps), eps), 0.0, _Directions(masses, most_krylov)
    del F  # an array of the grid
    while True:
        yield here
        if here.plan is None:
            here.plan = plan(masses.grid, here.F + log_masses(masses.mu), eps)
        direction = directions.at(here, damping)
        here, length = _step(masses, here, direction, eps)
        here.multigrid, directions.multigrid = directions.multigrid, None
        damping = _damping(damping, length)
        note({"points": masses.grid.size, "eps": eps, "l1": here.l1, "krylov": directions.krylov, "length": length})


def ascend(masses: Masses, F: Array, eps: float, tolerance: float, steps: int, note: Note) -> Iterate:
    """Newton steps from F (units of ε) until Σ|μ − a|/N ≤ tolerance, or ``steps`` are spent."""
    for here in islice(ascent(masses, F, eps, note), steps + 1):
        if here.l1 <= tolerance:
            break
    return here


def _approached(masses: Masses, here: Iterate, eps: float) -> Iterate:
    """Sinkhorn iterations while they pay."""
    before, far = np.inf, FAR if masses.mu.all() and masses.nu.all() else FAR_ON_ZEROS
    while here.l1 > far and here.l1 <= WORTH * before:
        before, here = here.l1, _from_target(masses, here.leave(), eps)
    return here


def _damping(before: float, length: float) -> float:
    """λ for the next step: more after a short one, less after a whole one."""
    if length < 1:
        return max(4 * before, LEAST_DAMPING)
    return before / 4 if before > 0.1 * LEAST_DAMPING else 0.0


class _Directions:
    """Newton's directions at one ε, one after the other: the V-cycle of the last one serves while it does so well."""

    def __init__(self, masses: Masses, most_krylov: int) -> None:
        self.masses, self.most, self.krylov = masses, most_krylov, 0
        self.multigrid: Multigrid | None = None  # for the next iterate
        self.damping = 0.0

    def at(self, here: Iterate, damping: float) -> Array:
        """d with (S + damping diag(a)) d = μ − a, roughly; ``krylov`` is the conjugate-gradient iterations that it took.

        They end where r = μ − a − S d is `FORCING` of what it was, in ‖r‖ and in its energy ⟨r, S⁻¹ r⟩^½: ‖r‖ alone does not see
        potentials that are off by the same in a whole region, of which that of the light nodes is one.
        """
        coupling, damped = here.plan, here.marginal + _ridge(here, damping)
        assert coupling is not None
        multigrid = self._of(here, coupling, damping)
        r, d, energy, p = self.masses.mu - here.marginal, np.zeros(here.F.shape), np.inf, None
        large, first = float(np.linalg.norm(r)), 0.0
        for count in range(self.most + 1):
            z = multigrid.cycle(r)
            z += r / damped
            before, energy, self.krylov = energy, float(np.vdot(r, z)), count
            first = first or energy
            small = energy <= FORCING**2 * first and np.linalg.norm(r) <= FORCING * large
            if small or count == self.most:
                break
            p = z if p is None else np.add(np.multiply(p, energy / before, out=p), z, out=p)
            del z  # an array of the grid
            expected = coupling.expect(p)
            expected *= self.masses.nu
            product = coupling.adjoint(expected)
            np.subtract(np.multiply(damped, p, out=expected), product, out=product)
            length = energy / float(np.vdot(p, product))
            d += np.multiply(p, length, out=expected)
            r -= np.multiply(product, length, out=product)
            del expected, product
        self.multigrid = multigrid if self.krylov <= FEW_KRYLOV_STEPS else None
        return d

    def _of(self, here: Iterate, coupling: ConditionalPlan, damping: float) -> Multigrid:
        """The V-cycle of this plan, unless the one that led here will do."""
        found, here.multigrid = here.multigrid, None
        if found is None or damping != self.damping:
            self.damping, found = damping, None  # one at a time
            found = Multigrid(self.masses.grid, _spread(self.masses, coupling), _ridge(here, damping))
        return found


def _ridge(here: Iterate, damping: float) -> Array:
    """What is added to S, and a little more where there is no mass."""
    return here.marginal * (1e-6 + damping) + 1e-10


def _spread(masses: Masses, coupling: ConditionalPlan) -> Array:
    """∫P(x|y) Var(x_j|y) dν(y) at each x, in units of the nodes: the conductivity of S along each axis."""
    grid, one = masses.grid, np.ones(masses.grid.shape)
    out = np.empty((grid.dim, *grid.shape))
    for j in range(grid.dim):
        first, second = (tuple(p if k == j else 0 for k in range(grid.dim)) for p in (1, 2))
        variance = coupling.expect(one, second) - coupling.expect(one, first) ** 2
        out[j] = coupling.adjoint(masses.nu * np.maximum(variance, 0.0))
    return out


def _step(masses: Masses, here: Iterate, direction: Array, eps: float) -> tuple[Iterate, float]:
    """The longest step 1, ½, … that raises J enough; a Sinkhorn iteration, length 0, if there is none."""
    slope = float(np.mean(direction * (masses.mu - here.marginal)))
    dG, G = here.plan.expect(direction), here.leave()
    t = 1.0
    while t >= SHORTEST_ASCENT and slope > 0:
        trial = G - t * dG
        F = -soft(masses.grid, trial + log_masses(masses.nu), eps)
        if float(np.mean(F * masses.mu) + np.mean(trial * masses.nu)) >= here.value + ARMIJO * t * slope:
            return iterate(masses, F, eps), t
        t *= 0.5
    return _from_target(masses, G, eps), 0.0


def _from_target(masses: Masses, G: Array, eps: float) -> Iterate:
    return iterate(masses, -soft(masses.grid, G + log_masses(masses.nu), eps), eps)
