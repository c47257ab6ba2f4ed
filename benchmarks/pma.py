"""The PMA solver: mesh independence, cost, memory, explicit peers, box against torus, orders, hard data.

    python benchmarks/pma.py [--quick] [--three-d] [--large] [--only mesh,peers,…]

--quick keeps every table under a minute in all; --three-d adds 32³ … 128³; --large adds 256² to the peers.  py-pde is compared
where it is installed (extra ``bench``).  Times of one table come from one process, so that ratios mean something on a busy machine.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
from rich.console import Console
from rich.table import Table

from pmasolve import Box, Event, FiniteDifference, Fourier, MongeAmpere, Problem, Torus, evolve
from pmasolve.calculus import libraries, manufactured
from pmasolve.flows.reading import linearise_at
from pmasolve.machine.arrays import Array
from pmasolve.studies.convergence import running_orders

TAU = 2 * np.pi
CONSOLE = Console(width=80)


def short_number(x: float) -> str:
    """Three digits, in plain figures if there are a few."""
    return f"{x:.0f}" if 100 <= x < 1e6 else f"{x:.3g}"


def show(title: str, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """One table; rows appear when all are there."""
    table = Table(*heads, title=title, title_justify="left")
    for row in rows:
        table.add_row(*(short_number(cell) if isinstance(cell, float) else str(cell) for cell in row))
    CONSOLE.print(table)


def two_modes(n: int, dim: int = 2, amplitude: float = 1.0) -> Problem:
    """f = 0.3 cos 2πx + 0.2 sin 2πy cos 2πx, g = 0.3 cos 2π(x − 0.2) + 0.2 sin 2π(x + y); z joins in the second modes."""

    def f(x: Array, y: Array, z: Array | float = 0.0) -> Array:
        return amplitude * (0.3 * np.cos(TAU * x) + 0.2 * np.sin(TAU * (y + z)) * np.cos(TAU * x))

    def g(x: Array, y: Array, z: Array | float = 0.0) -> Array:
        return amplitude * (0.3 * np.cos(TAU * (x - 0.2)) + 0.2 * np.sin(TAU * (x + y - z)))

    return Problem(Torus((n,) * dim), f, g)


def timed(call: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = perf_counter()
    call()
    return perf_counter() - start


def mesh_row(n: int, dim: int) -> tuple:
    """Work of one run to t = 3 at rtol 1e-6."""
    run = evolve(MongeAmpere(two_modes(n, dim), rtol=1e-6), [3.0])
    work = int(run.records["derivatives"][-1]), int(run.records["jacobian_products"][-1])
    peak = memory(f"two_modes({n}, {dim})", f"two_modes(16, {dim})")
    return f"{n}{'²³'[dim - 2]}", *work, float(run.provenance["seconds"]), peak


CHILD = """
import sys; sys.path[:0] = {path!r}
from benchmarks.pma import cosines, half_box, peak_bytes, two_modes
from pmasolve import MongeAmpere, Torus, evolve
evolve(MongeAmpere({warm}, rtol=1e-6), [0.1])
before = peak_bytes()
problem = {problem}
evolve(MongeAmpere(problem, rtol=1e-6), [0.1])
print((peak_bytes() - before) / (8 * problem.domain.size))
"""


def peak_bytes() -> int:
    """Peak resident memory of this program; getrusage would count what the parent had when it started us."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return 1024 * int(line.split()[1])


def memory(problem: str, warm: str) -> float:
    """Peak resident memory of a run in a fresh process, kernels compiled, in arrays of the grid; NaN where /proc is missing.

    Both arguments are expressions for problems; ``warm`` is a small one that compiles.
    """
    if not Path("/proc/self/status").exists():
        return float("nan")
    code = CHILD.format(path=[entry or "." for entry in sys.path] + ["."], problem=problem, warm=warm)
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


MESH = ("grid", "rhs", "Jv", "s", "peak arrays")


def mesh(options: argparse.Namespace) -> None:
    """Counts and costs on finer and finer grids."""
    warm = evolve(MongeAmpere(two_modes(16), rtol=1e-6), [0.1])
    assert warm.outcome.ok
    sizes = (64, 128) if options.quick else (128, 256, 512, 1024)
    show("To t = 3 at rtol 1e-6", MESH, [mesh_row(n, 2) for n in sizes])
    if options.three_d:
        evolve(MongeAmpere(two_modes(8, 3), rtol=1e-6), [0.1])
        show("The same in 3D", MESH, [mesh_row(n, 3) for n in (32, 64, 128)])
    CONSOLE.print("rhs, Jv: right-hand sides and Jacobian products\n")


def stable_steps(problem: Problem, t: float, symbol: float) -> int:
    """RK4 steps at 90 % of the stability limit 2.785/(max G⁻¹ · max|k|²)."""
    coarse = evolve(MongeAmpere(problem, rtol=1e-4), [t])
    stiffest = 1.2 / float(np.min(coarse.records["min_eigenvalue"])) * symbol
    return int(np.ceil(t * stiffest / (0.9 * 2.785)))


def runge_kutta(problem: Problem, t: float) -> tuple[Array, float, int]:
    """Classical RK4 on the same Fourier right-hand side."""
    operators, u = Fourier().on(problem.domain), np.zeros(problem.domain.shape)

    def speed(values: Array) -> Array:
        return linearise_at(problem, operators, values).speed

    steps = stable_steps(problem, t, float(operators.symbol.max()))
    dt, start = t / steps, perf_counter()
    for _ in range(steps):
        a = speed(u)
        b = speed(u + 0.5 * dt * a)
        c = speed(u + 0.5 * dt * b)
        u = u + dt / 6 * (a + 2 * b + 2 * c + speed(u + dt * c))
    return u, perf_counter() - start, steps


PYPDE = (
    "0.3*cos(T*x) + 0.2*sin(T*y)*cos(T*x) - 0.3*cos(T*(x + d_dx(u) - 0.2)) - 0.2*sin(T*(x + d_dx(u) + y + d_dy(u)))"
    " + log((1 + d2_dx2(u))*(1 + d2_dy2(u)) - d_dx(d_dy(u))**2)"
)


def py_pde(problem: Problem, t: float) -> tuple[Array, float, int] | None:
    """py-pde's one-line PDE (second differences, numba) from u = 0, compiled before it is timed.

    RK4 at the stability limit as well: its adaptive steps end in NaN from 128² on, since log det is not defined everywhere.
    """
    try:
        import pde
    except ImportError:
        CONSOLE.print("py-pde is not installed: pip install 'pmasolve[bench]' to compare")
        return None
    n, half = problem.domain.shape[0], 0.5 / problem.domain.shape[0]
    grid = pde.CartesianGrid([[-half, 1 - half]] * 2, [n, n], periodic=True)
    equation = pde.PDE({"u": PYPDE}, bc="periodic", consts={"T": TAU})
    state = pde.ScalarField(grid, 0.0)
    steps = stable_steps(problem, t, float(FiniteDifference(2).on(problem.domain).symbol.max()))
    step = pde.RungeKuttaSolver(equation, adaptive=False).make_stepper(state, dt=t / steps)
    step(state.copy(), 0.0, t / steps)  # compiles
    seconds = timed(lambda: step(state, 0.0, t))
    return state.data, seconds, steps


FLOOR = 1e-11  # errors below it are the reference's


def equal_error(problem: Problem, t: float, reference: Array, error: float, space) -> tuple[float, float]:
    """Seconds and error of the loosest MongeAmpere at least as accurate (10 % for noise)."""
    for rtol in 10.0 ** -np.arange(2, 13):
        run = evolve(MongeAmpere(problem, space=space, rtol=rtol), [t])
        found = problem.domain.sup(problem.domain.centred(run.potentials[0] - reference))
        if found <= 1.1 * max(error, FLOOR):
            break
    return float(run.provenance["seconds"]), found


def short(space: Fourier | FiniteDifference) -> str:
    """A name that fits a narrow column."""
    return "Fourier" if isinstance(space, Fourier) else f"FD {space.order}"


def peers_rows(n: int, t: float) -> Iterable[tuple]:
    """Explicit Runge–Kutta and py-pde against this package on one grid."""
    problem = two_modes(n)
    reference = evolve(MongeAmpere(problem, rtol=1e-13), [t]).potentials[0]
    grid = problem.domain
    for name, solve, space in (("RK4", runge_kutta, Fourier()), ("py-pde", py_pde, FiniteDifference(2))):
        answer = solve(problem, t)
        if answer is None:
            continue
        u, seconds, steps = answer
        error = grid.sup(grid.centred(u - reference))
        for ours in dict.fromkeys((space, Fourier())):
            own, found = equal_error(problem, t, reference, error, ours)
            yield name, steps, error, seconds, short(ours), found, own, seconds / own


def peers(options: argparse.Namespace) -> None:
    """Times at equal error; explicit steps shrink like h², so that the finest grid gets a shorter run."""
    sizes = (
        ((32, 0.01), (64, 0.01))
        if options.quick
        else ((64, 0.05), (128, 0.05), (256, 0.01))[: 3 if options.large else 2]
    )
    heads = ("peer", "steps", "error", "s", "ours", "error", "s", "ratio")
    for n, t in sizes:
        show(f"Explicit peers on {n}², equal error at t = {t}", heads, peers_rows(n, t))


@contextmanager
def transforms_by(library: str) -> Iterator[None]:
    """Plan transforms by this library."""
    kept = os.environ.get("PMASOLVE_FFT", "")
    os.environ["PMASOLVE_FFT"] = library
    yield
    os.environ["PMASOLVE_FFT"] = kept


def cosines(grid: Torus | Box) -> Problem:
    """Even densities of period 1: on a box of half the length the same problem as on the torus."""
    return Problem(grid, lambda *x: 0.3 * np.cos(TAU * x[0]) * np.cos(TAU * x[-1]), lambda *y: 0.3 * np.cos(TAU * y[0]))


def half_box(shape: tuple[int, ...]) -> Box:
    """A box of sides ½."""
    return Box(shape, (0.5,) * len(shape))


def box_row(library: str, shape: tuple[int, ...]) -> tuple:
    """CPU time to t = 3 on the box and on the torus of the same size, the least of three turns."""
    with transforms_by(library):
        seconds, work = {}, {}
        for _ in range(3):
            for name, grid in (("torus", Torus(shape)), ("box", half_box(shape))):
                problem, start = cosines(grid), process_time()
                run = evolve(MongeAmpere(problem, rtol=1e-6), [3.0])
                seconds[name] = min(process_time() - start, seconds.get(name, np.inf))
                work[name] = int(run.records["derivatives"][-1] + run.records["jacobian_products"][-1])
    each = {name: 1e3 * seconds[name] / work[name] for name in work}
    whole = seconds["box"] / seconds["torus"]
    return "×".join(map(str, shape)), library, *work.values(), *each.values(), each["box"] / each["torus"], whole


def box_memory(shape: tuple[int, ...]) -> tuple:
    """Peak arrays of the grid on the torus and on the box of the same size."""
    small = (16,) * len(shape)
    torus = memory(f"cosines(Torus({shape}))", f"cosines(Torus({small}))")
    box = memory(f"cosines(half_box({shape}))", f"cosines(half_box({small}))")
    return "×".join(map(str, shape)), torus, box, box / torus


def box(options: argparse.Namespace) -> None:
    """Cosine transforms against FFTs: at most 1.2 is asked for; a table for each grid, printed when it is done."""
    shapes = [(1024,), (128, 128), (32, 32, 32)]
    shapes += [] if options.quick else [(512, 512), (64, 64, 64)]
    names = ["ducc0", "scipy"] if libraries.ducc0 else ["scipy"]
    heads = ("grid", "FFTs", "work", "box", "ms each", "box", "ratio", "whole run")
    title = "Box against torus to t = 3: right-hand sides and products, CPU ms for each"
    for shape in shapes:
        show(title, heads, [box_row(name, shape) for name in names])


def boxmemory(options: argparse.Namespace) -> None:
    """Peak memory of the box against that of the torus."""
    shapes = [(256, 256)] if options.quick else [(512, 512), (1024, 1024), (64, 64, 64)]
    show("Peak arrays of the grid", ("grid", "torus", "box", "ratio"), [box_memory(shape) for shape in shapes])


def amplitude_row(amplitude: float, n: int) -> tuple:
    """How a run on harder data ends."""
    run, fine = (evolve(MongeAmpere(two_modes(m, 2, amplitude), rtol=1e-6), [0.2], throw=False) for m in (n, 2 * n))
    records = run.records
    both = run.outcome.ok and fine.outcome.ok
    change = float(np.max(np.abs(run.centred[-1] - fine.centred[-1][::2, ::2]))) if both else float("nan")
    least, defect = float(np.nanmin(records["min_eigenvalue"])), abs(float(records["mass"][-1]) - 1)
    products = float(records["jacobian_products"][-1] / records["newton_iterations"][-1])
    return amplitude, run.outcome.name, len(records["dt"]), products, least, defect, change


def amplitudes(options: argparse.Namespace) -> None:
    """Amplitudes 1, 2, 4, 8 of the two-mode pair."""
    n = 32 if options.quick else 64
    heads = ("amplitude", "outcome", "steps", "Jv each", "least λ", "mass defect", f"change {n}² → {2 * n}²")
    show("Harder data to t = 0.2", heads, [amplitude_row(a, n) for a in (1.0, 2.0, 4.0, 8.0)])


def orders(options: argparse.Namespace) -> None:
    """Manufactured map in the plane."""
    sizes, rows = np.array([24, 32, 48]), []
    for space in (FiniteDifference(2), FiniteDifference(4), FiniteDifference(6), Fourier()):
        errors = []
        for n in sizes if not isinstance(space, Fourier) else (6, 12, 24):
            problem, u = manufactured(
                Torus((n, n)),
                lambda x, y: 0.06 / (5 - np.cos(TAU * x)) + 0.15 / ((5 - np.cos(TAU * y)) * (5 - np.cos(TAU * x))),
                lambda x, y: 0.3 * np.sin(TAU * x) + 0.2 * np.cos(TAU * (x + y)),
            )
            run = evolve(
                MongeAmpere(problem, space=space, rtol=1e-11), [10.0], events=[Event("speed", below=1e-9)], initial=u
            )
            errors.append(problem.domain.l2(run.centred[-1] - u))
        steps = sizes if not isinstance(space, Fourier) else np.array([6, 12, 24])
        rows.append((short(space), *errors, *running_orders(1.0 / steps, np.array(errors))))
    show(
        "Orders in space: 24², 32², 48² (Fourier: 6², 12², 24²)",
        ("space", "coarse", "", "fine", "order", "order"),
        rows,
    )


def tolerance(options: argparse.Namespace) -> None:
    """Error against rtol."""
    problem, times = two_modes(32), [0.02, 0.05, 0.1, 0.3]
    reference, rows = evolve(MongeAmpere(problem, rtol=1e-13), times), []
    for rtol in 10.0 ** -np.arange(4, 11):
        run = evolve(MongeAmpere(problem, rtol=rtol), times)
        records = run.records
        work = int(records["derivatives"][-1]), int(records["jacobian_products"][-1])
        rows.append((float(rtol), float(np.max(np.abs(run.centred - reference.centred))), *work))
    slope = np.polyfit(np.log([row[0] for row in rows]), np.log([row[1] for row in rows]), 1)[0]
    show(f"Error against rtol: slope {slope:.3f}", ("rtol", "error", "rhs", "Jv"), rows)


TABLES = {f.__name__: f for f in (mesh, peers, box, boxmemory, amplitudes, orders, tolerance)}


def main() -> None:
    """Print the tables asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for flag in ("--quick", "--three-d", "--large"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--only", default=",".join(TABLES), help="comma-separated: " + ", ".join(TABLES))
    options = parser.parse_args()
    for name in options.only.split(","):
        TABLES[name](options)


if __name__ == "__main__":
    main()
