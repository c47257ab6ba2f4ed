"""The caller's mistakes: each is a ValueError that names the value, the rule and the remedy."""

from __future__ import annotations

import re

import numpy as np
import pytest
from cases import t1

from pmasolve import (
    SYMMETRIC,
    Box,
    Cloud,
    FiniteDifference,
    LinearisedMongeAmpere,
    MongeAmpere,
    Problem,
    Richardson,
    Sinkhorn,
    Spline,
    Study,
    Torus,
    brenier,
    compare,
    evolve,
    schroedinger,
)
from pmasolve.sinkhorn.softmin.dense import Dense
from pmasolve.sinkhorn.softmin.separable import Separable

PROBLEM = t1(32)
TORUS, X = PROBLEM.domain, PROBLEM.domain.points
HOLE = np.where(X[0] < 0.25, 0.0, 1.0)
ONE = np.ones(32)
DIP = np.where(np.arange(32) == 3, np.nan, 1.0)

# what is done: what the message must say (value, rule, remedy)
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
    "no levels": (lambda: Richardson(PROBLEM, 1e-2, levels=0), ["levels=0", "at least one"]),
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
    "study of one value": (lambda: Study.over("eps", [0.1], lambda eps: {"sup": eps}), ["eps=[0.1]", "at least two"]),
    "study that increases": (lambda: Study.over("h", [0.1, 0.2], lambda h: {"sup": h}), ["decreasing"]),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_named(name: str) -> None:
    act, words = MISTAKES[name]
    with pytest.raises(ValueError, match=re.escape(words[0])) as caught:
        act()
    for word in words:
        assert word in str(caught.value), str(caught.value)


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
