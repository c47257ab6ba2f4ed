"""One contract for every engine: the same nodes, ε and exponents, the same sums, those of extended precision."""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
from test_softmin_clouds import allowance, oracle

from pmasolve import Blockwise, Box, Cloud, Dense, KeOps, Separable, Torus
from pmasolve.sinkhorn.softmin.clouds.blocks import BLOCK
from pmasolve.sinkhorn.softmin.clouds.groups import groups_of
from pmasolve.sinkhorn.softmin.keops import why_not
from pmasolve.sinkhorn.softmin.separable import AxisMethod


@dataclass(frozen=True)
class Expanding:
    """`Blockwise` with its expansions wherever they are possible, whether or not they pay."""

    def bind(self, source, target, eps):
        kernel = Blockwise().bind(source, target, eps)
        return replace(kernel, groups=groups_of(BLOCK, kernel.source, kernel.target, eps))


RNG = np.random.default_rng(60493)
X, Y = RNG.random((90, 2)), RNG.random((40, 2)) ** 1.5
PLANE = (Cloud(X), Cloud(Y))
NODES = {
    "circle": (Torus((48,)),) * 2,
    "torus": (Torus((14, 12), (1.0, 1.5)),) * 2,
    "interval": (Box((40,)),) * 2,
    "box": (Box((12, 10)),) * 2,
    "plane": PLANE,
    "periodic points": (Cloud(X[:, :1], period=1.0), Cloud(Y[:, :1], period=1.0)),
    "duplicates": (Cloud(np.repeat(X[:3], 20, axis=0)), Cloud(np.repeat(Y[:2], 20, axis=0))),
    "one point": (Cloud(X[:1]), Cloud(Y[:1])),
    "one to many": (Cloud(X[:1]), Cloud(Y)),
    "many to one": (Cloud(X), Cloud(Y[:1])),
}
GRIDS = ("circle", "torus", "interval", "box")
COMPILED = (
    "plane",
    "one point",
    "one to many",
    "many to one",
    "duplicates",
    "periodic points",
)  # two formulas of KeOps
ENGINES = {
    "Dense": (Dense(), tuple(NODES)),
    "Separable": (Separable(), GRIDS),
    "matrix products": (Separable(AxisMethod.MATRIX), GRIDS),
    "tiles": (Separable(AxisMethod.TILES), GRIDS),
    "Blockwise": (Blockwise(), tuple(NODES)),
    "expansions": (Expanding(), tuple(NODES)),
} | ({} if why_not() else {"KeOps": (KeOps(device="cpu"), COMPILED)})
CASES = [(engine, nodes) for engine, (_, served) in ENGINES.items() for nodes in served]


def shape(nodes):
    return nodes.shape


def potential(nodes, eps):
    """A smooth potential over ε, and noise."""
    x = nodes.points.T if isinstance(nodes, Cloud) else nodes.points
    return -0.05 * np.cos(2 * np.pi * x).sum(axis=0) / eps + np.random.default_rng(8).standard_normal(nodes.shape)


def agree(engine, source, target, eps, h, values):
    exact = oracle(source, target, eps, h)
    assert values.dtype == np.float64
    assert values.shape == exact.shape == shape(target)
    assert np.abs(values - exact).max() <= 2 * allowance(source, target, eps, h, values)


@pytest.mark.parametrize("eps", [1e-4, 0.02])
@pytest.mark.parametrize(("engine", "nodes"), CASES)
def test_sums(engine, nodes, eps):
    (source, target), kernel = NODES[nodes], ENGINES[engine][0].bind(*NODES[nodes], eps)
    agree(engine, source, target, eps, potential(source, eps), kernel.forward(potential(source, eps)))
    agree(engine, target, source, eps, potential(target, eps), kernel.backward(potential(target, eps)))
    assert len(kernel.report) > 0


@pytest.mark.parametrize(("engine", "nodes"), CASES)
def test_weights_down_to_1e_300_and_none(engine, nodes):
    """Masses from 1e-300 to 1 in any order, a third of them 0."""
    source, target = NODES[nodes]
    rng = np.random.default_rng(4)
    h = np.log(10.0 ** rng.uniform(-300, 0, source.shape))
    h[rng.random(source.shape) < 0.33] = -np.inf
    h.flat[0] = -690.0
    agree(engine, source, target, 1e-3, h, ENGINES[engine][0].bind(source, target, 1e-3).forward(h))


@cache
def extremes(nodes, eps):
    """No mass on half of the nodes, all of it at one, a million bits of noise; and the sums."""
    source, target = NODES[nodes]
    noise = np.random.default_rng(5).standard_normal(source.shape)
    half, one = noise.copy(), np.full(source.shape, -np.inf)
    half.flat[: source.size // 2] = -np.inf
    one.flat[-1] = 1.0
    return [(h, oracle(source, target, eps, h)) for h in (half, one, 1e6 * np.log(2) * noise)]


@pytest.mark.parametrize("eps", [1e-4, 0.02])
@pytest.mark.parametrize(("engine", "nodes"), CASES)
def test_half_empty_one_mass_and_a_million_bits_of_noise(engine, nodes, eps):
    source, target = NODES[nodes]
    kernel = ENGINES[engine][0].bind(source, target, eps)
    for h, exact in extremes(nodes, eps):
        values = kernel.forward(h)
        assert np.abs(values - exact).max() <= 2 * allowance(source, target, eps, h, values)


@pytest.mark.parametrize(("engine", "nodes"), CASES)
def test_strides_and_single_precision_in(engine, nodes):
    """Strided, Fortran-ordered and float32 exponents are read as float64 and left as they were."""
    source, target = NODES[nodes]
    h = np.asfortranarray(potential(source, 0.02)).astype(np.float32)
    wide = np.stack([h, h], axis=-1)
    before = wide.copy()
    kernel = ENGINES[engine][0].bind(source, target, 0.02)
    for given in (h, wide[..., 0]):
        agree(engine, source, target, 0.02, h.astype(np.float64), kernel.forward(given))
    assert (wide == before).all()


@pytest.mark.parametrize(("engine", "nodes"), CASES)
def test_the_same_bits_twice(engine, nodes):
    """No state is carried from call to call."""
    source, target = NODES[nodes]
    kernel, h = ENGINES[engine][0].bind(source, target, 0.02), potential(source, 0.02)
    once = kernel.forward(h).copy()
    kernel.forward(3 * h)
    assert (kernel.forward(h) == once).all()


@pytest.mark.parametrize("engine", ENGINES)
def test_refusals(engine):
    """ε that is no positive number, and exponents of another shape."""
    served = ENGINES[engine][1]
    source, target = NODES[served[0]]
    for eps in (0.0, -1.0, np.nan):
        with pytest.raises(ValueError, match="eps="):
            ENGINES[engine][0].bind(source, target, eps)
    with pytest.raises(ValueError, match="shape"):
        ENGINES[engine][0].bind(source, target, 0.1).forward(np.zeros(source.size + 1))
