"""What other packages, and plain code, do for one half-iteration or a fixed point on a grid of the unit torus or square."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from time import perf_counter

import numpy as np
from half_iteration import plain
from numba import njit

from pmasolve.machine.arrays import Array
from pmasolve.problems.grids import Torus
from pmasolve.problems.problem import Problem
from pmasolve.sinkhorn.softmin.kernel import axis_log_kernel
from pmasolve.sinkhorn.softmin.separable import Separable

Run = Callable[[], Array]


def missing(*modules: str) -> str:
    """The modules that are not installed, for the table."""
    return ", ".join(name for name in modules if find_spec(name) is None)


@njit(cache=True)
def log_sum_exp_axis(kernel, lines, out):
    """log Σₓ exp(kernel[y, x] + lines[r, x]) of all lines and outputs, maximum first, written transposed: no tricks."""
    rows, n = lines.shape
    for r in range(rows):
        for y in range(n):
            top = -np.inf
            for x in range(n):
                top = max(top, kernel[y, x] + lines[r, x])
            total = 0.0
            for x in range(n):
                total += np.exp(kernel[y, x] + lines[r, x] - top)
            out[y, r] = top + np.log(total)


def plain_run(torus: Torus, h: Array, eps: float) -> Run:
    """A plain numba log-sum-exp over whole axes."""
    kernel, n = axis_log_kernel(torus, 0, eps), torus.shape[0]

    def run() -> Array:
        values = h
        for _ in torus.shape:
            out = np.empty((n, h.size // n))
            log_sum_exp_axis(kernel, values.reshape(-1, n), out)
            values = out
        return values.reshape(h.shape)

    return run


def windowed_run(torus: Torus, h: Array, eps: float) -> Run:
    """The same over certified windows only (2D, one thread): what tiles and products add to windows."""
    kernel = Separable().bind(torus, torus, eps)
    return lambda: plain(h, kernel)


def geomloss_run(h: Array, eps: float) -> Run:
    """GeomLoss's softmin on grids (KeOps underneath), on the open square: the same work, another kernel at the seam."""
    import torch
    from geomloss._legacy.utils import softmin_grid

    values = torch.from_numpy(h)[None, None]
    return lambda: -softmin_grid(eps, 2, values)[0, 0].numpy() / eps


def ott_geometry(torus: Torus, eps: float):
    """OTT's grid geometry in double precision, with the cost −ε log Σₘ exp(−(x−y+m)²/2ε) on every axis."""
    import jax
    import jax.numpy as jnp
    from ott.geometry import costs, grid

    jax.config.update("jax_enable_x64", True)

    @jax.tree_util.register_pytree_node_class
    class Periodic(costs.CostFn):
        def __call__(self, x, y):
            d = (x - y - jnp.round(x - y))[0]
            if eps < 2e-3:  # the next image has less than exp(−62) of the nearest
                return 0.5 * d**2
            images = d + jnp.arange(-3.0, 4.0)
            return -eps * jax.nn.logsumexp(-(images**2) / (2 * eps))

    axes = [jnp.asarray(torus.axis(j)) for j in range(torus.dim)]
    return grid.Grid(x=axes, cost_fns=[Periodic()] * torus.dim, epsilon=eps)


def ott_run(torus: Torus, h: Array, eps: float) -> Run:
    """OTT's log-sum-exp kernel on the grid, compiled."""
    import jax

    geometry = ott_geometry(torus, eps)
    zero = np.zeros(h.size)
    apply = jax.jit(lambda f: geometry.apply_lse_kernel(f, zero, eps, axis=0)[0] / eps)
    return lambda: np.asarray(apply(eps * h.ravel()).block_until_ready()).reshape(h.shape)


def ott_solve(
    problem: Problem, eps: float, marginal: float, limit: int, acceleration: str
) -> tuple[int, float, float, bool]:
    """OTT's Sinkhorn, compiled first, to a marginal error: iterations, seconds, error, whether it was reached."""
    import jax
    from ott.problems.linear import linear_problem
    from ott.solvers.linear import acceleration as accelerated
    from ott.solvers.linear import sinkhorn

    a, b = ((np.exp(m.log_density) * m.cell).ravel() for m in (problem.mu, problem.nu))
    options = {
        "plain": {},
        "momentum 1.8": {"momentum": accelerated.Momentum(value=1.8)},
        "adaptive momentum": {"momentum": accelerated.Momentum(start=20)},
        "Anderson": {"anderson": accelerated.AndersonAcceleration(memory=5, refresh_every=1)},
    }[acceleration]
    task = linear_problem.LinearProblem(ott_geometry(problem.domain, eps), a=a, b=b)
    solver = sinkhorn.Sinkhorn(threshold=marginal, max_iterations=limit, inner_iterations=10, **options)
    compiled = jax.jit(solver).lower(task).compile()
    began = perf_counter()
    out = jax.block_until_ready(compiled(task))
    seconds, errors = perf_counter() - began, np.asarray(out.errors)
    seen = errors[errors >= 0]
    return int(out.n_iters), seconds, float(seen[-1]) if seen.size else float("nan"), bool(out.converged)
