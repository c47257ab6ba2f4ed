"""The caller's mistakes: each is a ValueError that names the value, the rule and the remedy."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
from cases import t1
from hypothesis import given as given_any
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pmasolve import (
    JKO,
    SYMMETRIC,
    Box,
    BregmanProximal,
    Cloud,
    ConstantSteps,
    ConvexBlocks,
    Diffused,
    Event,
    FiniteDifference,
    FokkerPlanck,
    Fourier,
    GrowingSteps,
    HarmonicSteps,
    ImplicitSampler,
    JKOSampler,
    LinearisedMongeAmpere,
    LogSumExp,
    MirrorDescent,
    MongeAmpere,
    MongeAmpereSampler,
    NewtonKrylov,
    Plan,
    Posterior,
    Potential,
    Problem,
    Richardson,
    SampleProblem,
    SemiDual,
    Simplex,
    Sinkhorn,
    Span,
    Spline,
    Study,
    Torus,
    as_sampler,
    brenier,
    choose_eps,
    compare,
    corrected,
    cross_check,
    denoising,
    distances,
    embedding,
    evolve,
    load,
    logarithmic_steps,
    manufactured,
    mirror,
    mirror_langevin,
    pairwise,
    read_array,
    resume,
    save,
    scaling_study,
    schroedinger,
    square_root_steps,
    transport,
)
from pmasolve.flows.langevin import QuadraticMirror
from pmasolve.gaussian import Quadratic
from pmasolve.machine.arrays import generator, integer, number, real
from pmasolve.problems.points import given
from pmasolve.sinkhorn.softmin.dense import Dense
from pmasolve.sinkhorn.softmin.separable import Separable


class Tensor:
    """What torch says of a tensor that requires a gradient."""

    shape = (32,)

    def __array__(self, *_: object, **__: object) -> np.ndarray:
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.\nUse tensor.detach().numpy() instead.")


PROBLEM = t1(32)
TORUS, X = PROBLEM.domain, PROBLEM.domain.points
HOLE = np.where(X[0] < 0.25, 0.0, 1.0)
ONE = np.ones(32)
DIP = np.where(np.arange(32) == 3, np.nan, 1.0)

MASKED = np.ma.masked_less(np.linspace(-1, 1, 32), 0)
SAMPLES = Problem.from_samples(*np.random.default_rng(1).standard_normal((2, 30, 2)))
CLOUDS = Problem.from_samples(np.random.default_rng(0).random((300, 2)), np.zeros((1, 2)))

# what is done: what the message must say (value, rule, remedy)
LAW = as_sampler(evolve(ImplicitSampler(SampleProblem(np.linspace(-2, 2, 40) ** 3), LogSumExp(1)), [1], throw=False))
MIRROR, RNG, PLANE = QuadraticMirror(Quadratic([[1.0]])), np.random.default_rng(0), [[0.0, 0.0], [1.0, 0.0]]

MISTAKES = {
    "grid of four axes": (lambda: Torus((8, 8, 8, 8)), ["shape=", "1, 2 or 3 axes", "Cloud"]),
    "grid too coarse": (lambda: Torus((2, 8)), ["shape=", "at least 4", "refine"]),
    "negative length": (lambda: Box((8,), (-1.0,)), ["lengths=", "positive"]),
    "too few lengths": (lambda: Torus((8, 8), (1.0,)), ["lengths=", "each of the 2 axes"]),
    "cloud of NaN": (lambda: Cloud([[np.nan]]), ["points has 1 NaN", "clean"]),
    "cloud of words": (lambda: Cloud([["a"]]), ["points holds", "real"]),
    "cloud too far": (lambda: Cloud([[1e200]]), ["points as large as 1e+200", "overflow", "unit"]),
    "cloud of no points": (lambda: Cloud(np.ones((0, 2))), ["(0, 2)", "n ≥ 1"]),
    "cloud without mass": (lambda: Cloud([[0.0]], weights=[0.0]), ["weights are all zero", "mass"]),
    "negative weight": (lambda: Cloud([[0.0], [1.0]], weights=[2, -1]), ["weights has 1 negative", "least -1", "≥ 0"]),
    "infinite weight": (lambda: Cloud([[0.0], [1.0]], weights=[np.inf, 1]), ["weights has 1 NaN or infinite", "clean"]),
    "complex weight": (lambda: Cloud([[0.0]], weights=[1j]), ["weights holds complex", "real"]),
    "too many weights": (
        lambda: Cloud([[0.0]], weights=[1, 1]),
        ["weights has shape (2,)", "one number for each point"],
    ),
    "eps below rounding": (
        lambda: Sinkhorn(Problem.from_samples([[0.0], [1.0]], [[0.5]]), 1e-20),
        ["eps=1e-20", "no digits", "at least 1.11e-16"],
    ),
    "eps below rounding on a grid, asked of the fixed point": (
        lambda: schroedinger(PROBLEM, 1e-20),
        ["eps=1e-20", "no digits", "at least"],
    ),
    "cloud with period 0": (lambda: Cloud([[0.0]], period=0.0), ["period=", "positive"]),
    "flow of a density with zeros": (
        lambda: MongeAmpere(Problem.from_densities(TORUS, HOLE, ONE)),
        ["mu has 8 values ≤ 0", "Monge–Ampère flow", "positive", "floor"],
    ),
    "flow of a callable with zeros": (
        lambda: MongeAmpere(Problem.from_densities(TORUS, lambda x: ONE, lambda y: np.sin(np.pi * y) ** 2)),
        ["nu has 1 values ≤ 0", "positive", "floor"],
    ),
    "gauge of a density with zeros": (
        lambda: Sinkhorn(Problem.from_densities(TORUS, HOLE, ONE), 0.01, gauge=SYMMETRIC),
        ["mu has 8 values ≤ 0", "symmetric", "positive", "floor"],
    ),
    "extrapolation of a density with zeros": (
        lambda: brenier(Problem.from_densities(TORUS, ONE, HOLE), 0.01),
        ["nu has 8 values ≤ 0", "positive", "floor"],
    ),
    "negative density": (
        lambda: Problem.from_densities(TORUS, ONE - 2 * HOLE, ONE),
        ["mu has 24 negative values", "least -1", "clip"],
    ),
    "all-zero density": (lambda: Problem.from_densities(TORUS, ONE, 0 * ONE), ["nu is zero everywhere", "mass"]),
    "density not periodic": (
        lambda: Problem.from_densities(TORUS, lambda x: x, ONE),
        ["mu is not periodic", "period 1 of axis 0"],
    ),
    "density with NaN": (lambda: Problem.from_densities(TORUS, DIP, ONE), ["mu has 1 NaN", "clean"]),
    "complex density": (lambda: Problem.from_densities(TORUS, ONE * (1 + 1j), ONE), ["mu holds complex", "real"]),
    "words for a density": (lambda: Problem.from_densities(TORUS, ["a"] * 32, ONE), ["mu holds", "real"]),
    "f with NaN": (lambda: Problem(TORUS, ONE, DIP), ["g has 1 NaN", "clean"]),
    "infinite formula": (
        lambda: Problem(TORUS, lambda x: x / 0 if False else np.full_like(x, np.inf), ONE),
        ["f has 32 NaN or inf"],
    ),
    "wrong shape": (lambda: Problem(TORUS, np.zeros(33), ONE), ["f has shape (33,)", "(32,)", "grid.points"]),
    "not periodic": (lambda: Problem(TORUS, lambda x: x, ONE), ["f is not periodic", "period 1 of axis 0", "lengths"]),
    "period forgotten": (lambda: Problem(TORUS, lambda x: np.cos(x), ONE), ["not periodic", "2π"]),
    "no grid": (lambda: Problem("torus", ONE, ONE), ["domain='torus'", "Torus or a Box"]),
    "cloud as grid": (lambda: Problem(Cloud([[0.0]]), ONE, ONE), ["Torus or a Box", "from_samples"]),
    "spline of degree 2": (lambda: Spline(2), ["degree=2", "1, 3 or 5"]),
    "differences of order 3": (lambda: FiniteDifference(3), ["order=3", "2, 4 or 6"]),
    "rtol 0": (lambda: MongeAmpere(PROBLEM, rtol=0), ["rtol=0", "between 1e-13 and 1e-2"]),
    "rtol 1": (lambda: MongeAmpere(PROBLEM, rtol=1.0), ["rtol=1.0", "between"]),
    "rtol NaN": (lambda: MongeAmpere(PROBLEM, rtol=np.nan), ["rtol=nan", "between"]),
    "eps 0": (lambda: Sinkhorn(PROBLEM, 0), ["eps=0", "positive", "example"]),
    "eps negative": (lambda: Sinkhorn(PROBLEM, -1e-3), ["eps=-0.001", "positive"]),
    "eps NaN": (lambda: Sinkhorn(PROBLEM, np.nan), ["eps=nan", "finite"]),
    "eps infinite": (lambda: Sinkhorn(PROBLEM, np.inf), ["eps=inf", "finite"]),
    "eps negative, ladder": (lambda: Richardson(PROBLEM, -1.0), ["eps=-1.0", "positive"]),
    "no levels": (lambda: Richardson(PROBLEM, 1e-2, levels=0), ["levels=0", "at least 1"]),
    "dense, eps 0": (lambda: Dense().bind(TORUS, TORUS, 0.0), ["eps=0", "positive"]),
    "dense, too many pairs": (
        lambda: Dense(pairs=10).bind(TORUS, TORUS, 0.1),
        ["32 × 32 pairs", "pairs=10", "Separable"],
    ),
    "separable, two grids": (lambda: Separable().bind(TORUS, Torus((16,)), 0.1), ["same grid", "Dense"]),
    "direction of wrong shape": (
        lambda: LinearisedMongeAmpere(PROBLEM, np.zeros(5)),
        ["direction has shape (5,)", "(32,)"],
    ),
    "times decrease": (lambda: evolve(MongeAmpere(PROBLEM), [0.2, 0.1]), ["times=[0.2, 0.1]", "increasing", "example"]),
    "times repeat": (lambda: evolve(MongeAmpere(PROBLEM), [0.1, 0.1]), ["strictly increasing"]),
    "times negative": (lambda: evolve(MongeAmpere(PROBLEM), [-0.1, 0.1]), ["times=[-0.1, 0.1]", "≥ 0"]),
    "times empty": (lambda: evolve(MongeAmpere(PROBLEM), []), ["times=[]"]),
    "times NaN": (lambda: evolve(MongeAmpere(PROBLEM), [np.nan]), ["finite"]),
    "times no multiples": (
        lambda: evolve(Sinkhorn(PROBLEM, 0.01), [0.025]),
        ["t=0.025 is not a multiple of eps=0.01", "nearest"],
    ),
    "times no multiples, ladder": (lambda: evolve(Richardson(PROBLEM, 0.01), [0.015]), ["t=0.015", "multiple of eps"]),
    "start of wrong shape": (
        lambda: evolve(MongeAmpere(PROBLEM), [0.1], initial=np.zeros((32, 1))),
        ["initial has shape (32, 1)"],
    ),
    "start with NaN": (lambda: evolve(Sinkhorn(PROBLEM, 0.1), [0.1], initial=DIP), ["initial has 1 NaN", "clean"]),
    "start not convex": (
        lambda: evolve(MongeAmpere(PROBLEM), [0.1], initial=np.cos(2 * np.pi * X[0])),
        ["eigenvalue -", "not strictly convex", "smaller"],
    ),
    "start not convex, Sinkhorn": (
        lambda: evolve(Sinkhorn(PROBLEM, 0.1), [0.1], initial=np.cos(2 * np.pi * X[0])),
        ["eigenvalue -", "not strictly convex", "smaller"],
    ),
    "compare two grids": (
        lambda: compare(evolve(MongeAmpere(t1(32)), [0.01]), evolve(MongeAmpere(t1(16)), [0.01])),
        ["live on", "same nodes"],
    ),
    "compare other times": (
        lambda: compare(evolve(MongeAmpere(t1(32)), [0.01]), evolve(MongeAmpere(t1(32)), [0.02])),
        ["times", "same times"],
    ),
    "points that are no whole number": (lambda: Torus((64.9,)), ["shape=(64.9,)", "whole"]),
    "points without end": (lambda: Torus((np.inf,)), ["shape=(inf,)", "whole"]),
    "no shape": (lambda: Torus(None), ["shape holds object", "real numbers"]),
    "shape of words": (lambda: Torus("64"), ["shape holds", "real numbers"]),
    "bins of a histogram": (lambda: Box((3,)), ["shape=(3,)", "at least 4", "split, np.repeat"]),
    "an axis of one point": (lambda: Box((1, 50)), ["shape=(1, 50)", "squeeze"]),
    "colours for a volume": (lambda: Box((9, 9, 3)), ["shape=(9, 9, 3)", "colours", "mean(axis=-1)"]),
    "colours with alpha for a volume": (
        lambda: Problem.from_densities(Box((9, 9, 4)), np.ones((9, 9, 4), np.uint8), np.ones((9, 9, 4))),
        ["mu has shape (9, 9, 4) of uint8", "colour", "mean(axis=-1)", "floats"],
    ),
    "a column for a line": (lambda: Problem(TORUS, ONE[:, None], ONE), ["f has shape (32, 1)", "squeeze"]),
    "lengths of words": (lambda: Torus((8,), ("a",)), ["lengths holds", "real numbers"]),
    "masked density": (lambda: Problem.from_densities(TORUS, MASKED, ONE), ["mu is masked at 16", "mu.filled(0)"]),
    "masked potential": (lambda: Problem(TORUS, ONE, MASKED), ["g is masked at 16", "g.filled(0)"]),
    "masked formula": (
        lambda: Problem.from_densities(TORUS, lambda x: np.ma.masked_less(2 + np.cos(2 * np.pi * x), 2), ONE),
        ["formula is masked at", "filled(0)"],
    ),
    "masked weights": (lambda: Cloud(np.ones((32, 1)), MASKED), ["weights is masked at 16", "weights.filled(0)"]),
    "masked points": (lambda: Cloud(MASKED[:, None]), ["points is masked at 16", "points.filled(0)"]),
    "masked start": (lambda: evolve(MongeAmpere(PROBLEM), [0.1], initial=MASKED), ["initial is masked", "filled(0)"]),
    "masked times": (lambda: evolve(MongeAmpere(PROBLEM), MASKED), ["times is masked", "filled(0)"]),
    "masked images": (lambda: distances(TORUS, np.ma.stack([MASKED]), ONE), ["images[0] is masked", "filled(0)"]),
    "masked reference": (lambda: embedding(TORUS, MASKED, [ONE]), ["reference is masked", "filled(0)"]),
    "masked places": (lambda: given(MASKED[:, None], 1), ["points is masked", "filled(0)"]),
    "a tensor with a gradient": (lambda: Problem(TORUS, Tensor(), ONE), ["f is no array", ".detach()"]),
    "a formula of tensors": (lambda: Problem(TORUS, lambda x: Tensor(), ONE), ["formula is no array", ".detach()"]),
    "dates for a density": (lambda: Problem(TORUS, np.arange(32).astype("M8[s]"), ONE), ["f holds datetime64", "real"]),
    "nothing for a density": (lambda: Problem(TORUS, None, ONE), ["f holds object", "real"]),
    "complex formula": (lambda: Problem(TORUS, lambda x: x + 1j, ONE), ["formula holds complex128", "real"]),
    "complex points": (lambda: Cloud([[1j]]), ["points holds complex128", "real"]),
    "points of two dimensions": (lambda: Cloud([[1, 2], [3]]), ["points is no array of numbers"]),
    "points on a line": (lambda: Cloud([1.0, 2.0]), ["points of shape (2,)", "points[:, None]"]),
    "flow of clouds": (lambda: evolve(MongeAmpere(CLOUDS), [0.1]), ["300 points in 2 dimensions"]),
    "cloud for a problem": (lambda: MongeAmpere(CLOUDS.domain), ["problem=<Cloud of 300 points", "give a Problem"]),
    "nothing for a problem": (lambda: transport(None), ["problem=None", "give a Problem"]),
    "array for a problem": (lambda: Sinkhorn(np.ones(10**4), 0.1), ["problem=array(", "give a Problem"]),
    "array for a domain": (lambda: Problem(np.ones(10**4), ONE, ONE), ["domain=array(", "Torus or a Box"]),
    "no path": (lambda: load(None), ["path=None", "name of a file"]),
    "no path to read": (lambda: read_array(3), ["path=3", "name of a file"]),
    "many times that fall": (
        lambda: evolve(MongeAmpere(PROBLEM), np.arange(1000.0)[::-1]),
        ["times=array(", "increasing"],
    ),
    "comparison without times": (
        lambda: compare(*[evolve(Sinkhorn(PROBLEM, 2.0**-20), [2.0**-10], throw=False)] * 2),
        ["no times"],
    ),
    "comparison of many times": (
        lambda: compare(evolve(Sinkhorn(PROBLEM, 0.01), 0.01 * np.arange(1, 60)), RUN),
        ["times", "same times"],
    ),
    "study of one value": (lambda: Study.over("eps", [0.1], lambda eps: {"sup": eps}), ["eps=[0.1]", "at least two"]),
    "study that increases": (lambda: Study.over("h", [0.1, 0.2], lambda h: {"sup": h}), ["decreasing"]),
    "a seed of words": (lambda: Diffused([0.0, 1.0], 0.1).sample(3, "x"), ["seed='x'", "whole number", "default_rng"]),
    "a seed of words for a law": (lambda: LAW.sample(3, seed="x"), ["seed='x'", "whole number", "default_rng"]),
    "no window": (lambda: LAW.problem(None, [0.0]), ["box=None", "Box("]),
    "no density": (lambda: Posterior(None, lambda x: x, 1), ["f=None", "(n, 1)"]),
    "no slope": (lambda: Posterior(lambda x: x[:, 0], None, 1), ["grad_f=None", "(n, 1)"]),
    "no quadrature": (lambda: Sinkhorn(PROBLEM, 0.1, quadrature=np.nan), ["quadrature=nan", "positive", "1e-12"]),
    "push by words": (lambda: transport(PROBLEM).push(ONE, "x"), ["s='x'", "real number"]),
    "push by no number": (lambda: transport(PROBLEM).push(ONE, np.nan), ["s=nan", "finite"]),
    "a path at None": (lambda: transport(PROBLEM).interpolate(None), ["s=None", "real number"]),
    "a run at None": (lambda: evolve(MongeAmpere(PROBLEM), [0.01]).at(None), ["t=None", "real number"]),
    "a law of nothing": (lambda: mirror.Law(None, ONE), ["problem=None"]),
    "a law of no run": (lambda: mirror.Law.of(None, 0), ["trajectory=None", "evolve"]),
    "distances along nothing": (lambda: mirror.along(None), ["trajectory=None", "evolve"]),
    "the goal of nothing": (lambda: mirror.target_law(None), ["problem=None"]),
    "eps that is no number of costs": (lambda: schroedinger(PROBLEM, 1e-320), ["eps=", "no digits", "at least"]),
    "diffusion over too far": (lambda: Diffused.within([0.0, 1e100], 1e101), ["distance=1e+101", "below"]),
    "particles of nothing": (lambda: mirror_langevin(MIRROR, lambda x: x, [], 0.1, 1, RNG), ["start", "(n, dim)"]),
    "no slope for particles": (lambda: mirror_langevin(MIRROR, None, [[0.0]], 0.1, 1, RNG), ["slope=None", "(n, dim)"]),
    "snr of words": (lambda: denoising.complexity([0.0, 1.0], ["x"]), ["snr holds", "real numbers"]),
    "masked snr": (lambda: denoising.complexity([0.0, 1.0], MASKED), ["snr is masked at 16", "filled"]),
    "a bound that nothing meets": (lambda: Event("speed", below=np.nan), ["below=nan", "give a number"]),
    "half a seed": (lambda: choose_eps(SAMPLES, seed=0.5), ["seed=0.5", "whole number, at least 0"]),
    "half a seed of a resolution": (
        lambda: denoising.resolution(SAMPLES.domain, [1.0], seed=0.5),
        ["seed=0.5", "whole number"],
    ),
    "half a draw": (lambda: denoising.complexity(PLANE, [1.0], draws=2.5), ["draws=2.5", "whole number"]),
    "draws of None": (lambda: denoising.complexity(PLANE, [1.0], draws=None), ["draws=None", "real number"]),
    "a bracket of words": (lambda: denoising.critical_snr([0.0, 1.0], "x", 2.0), ["snr='x'", "real number"]),
    "masked weights of a mixture": (
        lambda: denoising.Mixture(MASKED, np.zeros(32), ONE),
        ["weights is masked at 16", "filled"],
    ),
    "steps of None": (lambda: denoising.diffuse_then_denoise([0.0, 1.0], [0.0], steps=None, eta=0.1), ["steps=None"]),
    "a step of None": (lambda: denoising.diffuse_then_denoise([0.0, 1.0], [0.0], steps=2, eta=None), ["eta=None"]),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_named(name: str) -> None:
    act, words = MISTAKES[name]
    with pytest.raises(ValueError, match=re.escape(words[0])) as caught:
        act()
    for word in words:
        assert word in str(caught.value), str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400, "arrays do not belong in messages"


# what takes one real number
NUMBERS = {
    "Sinkhorn(eps)": lambda v: Sinkhorn(PROBLEM, v),
    "BregmanProximal(step)": lambda v: BregmanProximal(PROBLEM, v),
    "GrowingSteps(first)": lambda v: GrowingSteps(v),
    "GrowingSteps(factor)": lambda v: GrowingSteps(0.1, v),
    "Sinkhorn(quadrature)": lambda v: Sinkhorn(PROBLEM, 0.1, quadrature=v),
    "Richardson(eps)": lambda v: Richardson(PROBLEM, v),
    "Richardson(levels)": lambda v: Richardson(PROBLEM, 0.1, levels=v),
    "MongeAmpere(rtol)": lambda v: MongeAmpere(PROBLEM, rtol=v),
    "LinearisedMongeAmpere(rtol)": lambda v: LinearisedMongeAmpere(PROBLEM, ONE, rtol=v),
    "FokkerPlanck(rtol)": lambda v: FokkerPlanck(PROBLEM, rtol=v),
    "JKO(step)": lambda v: JKO(PROBLEM, v),
    "ConstantSteps(eta)": ConstantSteps,
    "HarmonicSteps(scale)": HarmonicSteps,
    "FiniteDifference(order)": FiniteDifference,
    "transport(gap)": lambda v: transport(PROBLEM, gap=v),
    "transport(tolerance)": lambda v: transport(PROBLEM, tolerance=v),
    "schroedinger(eps)": lambda v: schroedinger(PROBLEM, v),
    "schroedinger(duality_gap)": lambda v: schroedinger(PROBLEM, 0.1, duality_gap=v),
    "brenier(eps)": lambda v: brenier(PROBLEM, v),
    "brenier(ratio)": lambda v: brenier(PROBLEM, 0.1, ratio=v),
    "Spline(degree)": Spline,
    "NewtonKrylov(steps)": lambda v: NewtonKrylov(steps=v),
    "NewtonKrylov(krylov)": lambda v: NewtonKrylov(krylov=v),
    "NewtonKrylov(halvings)": lambda v: NewtonKrylov(halvings=v),
    "NewtonKrylov(coarsest)": lambda v: NewtonKrylov(coarsest=v),
    "NewtonKrylov(forcing)": lambda v: NewtonKrylov(forcing=v),
    "SemiDual(least)": lambda v: SemiDual(least=v),
    "SemiDual(marginal)": lambda v: SemiDual(marginal=v),
    "SemiDual(steps)": lambda v: SemiDual(steps=v),
    "SemiDual(coarsest)": lambda v: SemiDual(coarsest=v),
    "Plan(eps)": lambda v: Plan(PROBLEM, v, ONE, ONE),
    "Potential(eps)": lambda v: Potential(PROBLEM.nu, ONE, v),
    "brenier(levels)": lambda v: brenier(PROBLEM, 0.1, levels=v),
    "square_root_steps(count)": square_root_steps,
    "logarithmic_steps(count)": logarithmic_steps,
    "logarithmic_steps(scale)": lambda v: logarithmic_steps(3, v),
    "scaling_study(t)": lambda v: scaling_study(PROBLEM, eps=[0.2, 0.1], t=v),
    "choose_eps(halvings)": lambda v: choose_eps(SAMPLES, halvings=v),
    "choose_eps(points)": lambda v: choose_eps(SAMPLES, points=v),
    "choose_eps(seed)": lambda v: choose_eps(SAMPLES, seed=v),
    "resolution(draws)": lambda v: denoising.resolution(SAMPLES.domain, [1.0], draws=v),
    "resolution(seed)": lambda v: denoising.resolution(SAMPLES.domain, [1.0], seed=v),
    "Event(below)": lambda v: Event("speed", below=v),
    "Event(above)": lambda v: Event("speed", above=v),
}

# of these, what takes a whole number
COUNTS = [
    *("NewtonKrylov(steps)", "NewtonKrylov(krylov)", "NewtonKrylov(halvings)", "NewtonKrylov(coarsest)"),
    *("SemiDual(steps)", "SemiDual(coarsest)", "Richardson(levels)", "brenier(levels)"),
    *("square_root_steps(count)", "logarithmic_steps(count)"),
    *("choose_eps(halvings)", "choose_eps(points)", "resolution(draws)"),
]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize(
    "value", [None, "1/8", 1j, [0.1], np.full(999, 0.1), {}, object()], ids=lambda v: type(v).__name__
)
def test_what_is_no_number_is_refused_in_one_line(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"{name.partition('(')[2][:-1]}=") as caught:
        NUMBERS[name](value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("value", [0, -1, 2.5, np.nan, np.inf])
def test_what_is_no_count_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"{name.partition('(')[2][:-1]}=.*whole number"):
        NUMBERS[name](value)


DATA = SampleProblem(np.random.default_rng(0).standard_normal((200, 2)))
COUNTED = [  # a record made with 4.0, and which of its attributes that is
    (lambda v: NewtonKrylov(v, v, halvings=v, coarsest=v), ["steps", "krylov", "halvings", "coarsest"]),
    (lambda v: SemiDual(steps=v, coarsest=v), ["steps", "coarsest"]),
    (lambda v: Simplex(nodes=v), ["nodes"]),
    (lambda v: Richardson(PROBLEM, 0.1, levels=v), ["levels"]),
    (lambda v: MirrorDescent(PROBLEM, ConstantSteps(0.1), modes=v), ["modes"]),
    (lambda v: LogSumExp(anchors=2 * v, sums=v), ["sums"]),
    (lambda v: Span(ridges=v), ["ridges"]),
    (lambda v: ConvexBlocks(ridges=v), ["ridges"]),
    (lambda v: ImplicitSampler(DATA, Span(), seed=v), ["seed"]),
    (lambda v: MongeAmpereSampler(DATA, Span(), nodes=v, seed=v), ["nodes", "seed"]),
    (lambda v: JKOSampler(DATA, ConvexBlocks(0), most=v, tries=v, seed=v), ["most", "tries", "seed"]),
]


@pytest.mark.parametrize(("made", "names"), COUNTED)
def test_four_point_zero_is_kept_as_four(made: Callable[[float], object], names: list[str]) -> None:
    one, other = made(4.0), made(4)
    for name in names:
        assert isinstance(getattr(one, name), int), name
        assert getattr(one, name) == getattr(other, name) == 4


def test_a_seed_beyond_the_floats_keeps_its_digits() -> None:
    for seed in (2**60 + 1, np.int64(2**60 + 1), 2**127 + 1):
        assert integer(seed, "seed", 0) == seed
        assert generator(seed).integers(2**60) == np.random.default_rng(seed).integers(2**60)


def test_sums_of_counts_that_are_floats_share_out_whole_anchors() -> None:
    family = LogSumExp(anchors=4.0, sums=2.0)
    assert family.shares == [2, 2]
    assert all(isinstance(share, int) for share in family.shares)


RUN = evolve(MongeAmpere(PROBLEM), [0.01])
SINK = evolve(Sinkhorn(PROBLEM, 0.01), [0.01])
WAYS = [ConstantSteps(0.1), Plan.of(SINK, -1)]

# what takes an object of ours: the door, and what its message names
OBJECTS = {
    "MongeAmpere(problem)": (lambda v: MongeAmpere(v), "problem="),
    "MongeAmpere(space)": (lambda v: MongeAmpere(PROBLEM, space=v), "space="),
    "Sinkhorn(problem)": (lambda v: Sinkhorn(v, 0.1), "problem="),
    "Sinkhorn(gauge)": (lambda v: Sinkhorn(PROBLEM, 0.1, gauge=v), "gauge="),
    "Sinkhorn(softmin)": (lambda v: Sinkhorn(PROBLEM, 0.1, softmin=v), "softmin="),
    "Richardson(gauge)": (lambda v: Richardson(PROBLEM, 0.1, gauge=v), "gauge="),
    "brenier(gauge)": (lambda v: brenier(PROBLEM, 0.1, gauge=v), "gauge="),
    "corrected(problem)": (lambda v: corrected(v, 0.1), "problem="),
    "corrected(gauge)": (lambda v: corrected(PROBLEM, 0.1, gauge=v), "gauge="),
    "schroedinger(newton)": (lambda v: schroedinger(PROBLEM, 0.1, newton=v), "newton="),
    "FokkerPlanck(problem)": (lambda v: FokkerPlanck(v), "problem="),
    "JKO(problem)": (lambda v: JKO(v, 0.1), "problem="),
    "LinearisedMongeAmpere(problem)": (lambda v: LinearisedMongeAmpere(v, ONE), "problem="),
    "MirrorDescent(problem)": (lambda v: MirrorDescent(v, WAYS[0]), "problem="),
    "MirrorDescent(schedule)": (lambda v: MirrorDescent(PROBLEM, v), "schedule="),
    "BregmanProximal(problem)": (lambda v: BregmanProximal(v, 0.1), "problem="),
    "schroedinger(problem)": (lambda v: schroedinger(v, 0.1), "problem="),
    "brenier(problem)": (lambda v: brenier(v, 0.1), "problem="),
    "Plan(problem)": (lambda v: Plan(v, 0.1, ONE, ONE), "problem="),
    "Plan.after(problem)": (lambda v: Plan.after(v, 0.1, ONE), "problem="),
    "Potential(measure)": (lambda v: Potential(v, ONE, 0.1), "measure="),
    "transport(problem)": (lambda v: transport(v), "problem="),
    "transport(space)": (lambda v: transport(PROBLEM, space=v), "space="),
    "transport(method)": (lambda v: transport(PROBLEM, method=v), "method="),
    "scaling_study(problem)": (lambda v: scaling_study(v, eps=[0.2, 0.1], t=0.2), "problem="),
    "evolve(flow)": (lambda v: evolve(v, [0.1]), "flow="),
    "resume(trajectory)": (lambda v: resume(v, [0.1]), "trajectory="),
    "save(trajectory)": (lambda v: save(v, "run.npz"), "trajectory="),
    "compare(a)": (lambda v: compare(v, RUN), "a="),
    "compare(b)": (lambda v: compare(RUN, v), "b="),
    "cross_check(trajectory)": (lambda v: cross_check(v, 0.01), "trajectory="),
    "Plan.of(trajectory)": (lambda v: Plan.of(v, 0), "trajectory="),
    "distances(grid)": (lambda v: distances(v, [ONE], ONE), "grid="),
    "distances(images)": (lambda v: distances(TORUS, v, ONE), "images="),
    "embedding(grid)": (lambda v: embedding(v, ONE, [ONE]), "grid="),
    "pairwise(grid)": (lambda v: pairwise(v, [ONE, ONE]), "grid="),
    "manufactured(domain)": (lambda v: manufactured(v, lambda x: 0 * x, lambda y: 0 * y), "domain="),
}


@pytest.mark.parametrize("name", OBJECTS)
@pytest.mark.parametrize("value", [0, "newton", object()], ids=["number", "word", "object"])
def test_what_is_no_object_of_ours_is_refused_in_one_line(name: str, value: object) -> None:
    """AttributeError and TypeError from within; transport(method=0) took the default."""
    act, words = OBJECTS[name]
    if name == "distances(images)" and isinstance(value, str):
        value = None  # a word is a list of words, each of which is refused
    with pytest.raises(ValueError, match=re.escape(words)) as caught:
        act(value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_a_class_is_not_one_of_its_objects() -> None:
    """The brackets are easily forgotten."""
    for act in (lambda: transport(PROBLEM, space=Fourier), lambda: MongeAmpere(PROBLEM, space=Fourier)):
        with pytest.raises(ValueError, match=r"space=.*Fourier\(\)"):
            act()
    with pytest.raises(ValueError, match=r"method=.*SemiDual\(\)"):
        transport(PROBLEM, method=SemiDual)


@pytest.mark.parametrize("value", [np.ones(32, bool), [0.5], [1j], ["1"], [np.nan], [32], [-33], [[0]], None])
def test_what_is_no_index_of_a_node_is_refused(value: object) -> None:
    """A mask gave rows 1 and 0 again and again, 0.7 the row 0."""
    with pytest.raises(ValueError, match=r"nodes=.*below 32.*flatnonzero") as caught:
        WAYS[1].rows(value)
    assert "\n" not in str(caught.value)


def test_rows_by_index() -> None:
    plan = WAYS[1]
    mask = np.arange(32) % 5 == 0
    np.testing.assert_array_equal(plan.rows(np.flatnonzero(mask)), plan.rows(np.arange(32))[mask])
    np.testing.assert_array_equal(plan.rows([-1]), plan.rows(31))
    assert plan.rows([]).shape == (0, 32)


def test_numbers_too_large_for_floats() -> None:
    """OverflowError."""
    assert transport(PROBLEM, gap=10**400).outcome.ok
    assert transport(PROBLEM).discrete(10**400).upper > 0
    for act in (lambda: Sinkhorn(PROBLEM, 10**400), lambda: Torus((8,), (10**400,)), lambda: Cloud([[10**400]])):
        with pytest.raises(ValueError, match=r"eps=|lengths=|1e308"):
            act()
    assert number(-(10**400), "x") == -np.inf


ODD = st.one_of(
    st.none(), st.text(), st.binary(), st.complex_numbers(), st.dates(), st.lists(st.none(), min_size=1), st.booleans()
)


@given_any(ODD)
def test_no_object_is_taken_for_a_number(value: object) -> None:
    with pytest.raises(ValueError, match=r"x="):
        number(value, "x")
    if not isinstance(value, bool):
        with pytest.raises(ValueError, match=r"x (holds|is no array)"):
            real(value, "x")
        with pytest.raises(ValueError, match=r"x (holds|is no array)"):
            real([1.0, value], "x")


@given_any(values=arrays(np.float64, st.integers(0, 9)), data=st.data())
def test_real_keeps_numbers_and_refuses_each_mask(values: np.ndarray, data: st.DataObject) -> None:
    assert np.array_equal(real(values, "x"), values, equal_nan=True)
    assert real(values, "x") is not values
    mask = data.draw(arrays(bool, values.shape))
    masked = np.ma.array(values, mask=mask)
    if mask.any():
        with pytest.raises(ValueError, match=rf"x is masked at {mask.sum()} places.*x\.filled\(0\)"):
            real(masked, "x")
    else:
        assert np.array_equal(real(masked, "x"), values, equal_nan=True)


def test_the_remedy_for_eps_works() -> None:
    with pytest.raises(ValueError, match="nearest") as caught:
        evolve(Sinkhorn(PROBLEM, 0.011), [0.03])
    for eps in re.findall(r"([\d.e-]+) \(k=", str(caught.value)):
        assert evolve(Sinkhorn(PROBLEM, float(eps)), [0.03]).outcome.ok


def test_input_is_not_changed_or_kept() -> None:
    f, u0 = 0.1 * np.cos(2 * np.pi * X[0]), 0.001 * np.cos(2 * np.pi * X[0])
    kept = f.copy(), u0.copy()
    problem = Problem(TORUS, f, np.zeros(32))
    evolve(Sinkhorn(problem, 0.01), [0.01], initial=u0)
    evolve(MongeAmpere(problem), [0.01], initial=u0)
    assert np.array_equal(f, kept[0])
    assert np.array_equal(u0, kept[1])
    before = problem.f.copy()
    f[:] = 100.0
    assert np.array_equal(problem.f, before)
