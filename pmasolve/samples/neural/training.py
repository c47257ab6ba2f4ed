"""Training of JKO blocks by torch, the extra ``neural``: residual blocks and ODE blocks, on the processor, in float64.

The loss of a step is that of the papers, E[V(T(x)) − log det DT(x)] + E|T(x) − x|²/2γ.  The log-determinant is exact up to eight
dimensions (of an ODE the integral of the exact divergence), beyond estimated along random signs (Hutchinson), of a residual block
by eleven terms of its series.  What is trained is handed on as NumPy arrays, and every number that is reported is that of the map
which these compute, with its exact log-determinant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from ...machine.arrays import Array, keep_integers, number
from ...machine.extras import extra
from ..jko.blocks import Block, log_det_of
from ..jko.networks import ODEBlock, Perceptron, ResidualBlock, numbers_in, width_of
from ..samplers.problems import SampleProblem
from ..samplers.reference import Reference

with extra("neural"):
    import torch

EXACT_DIMENSIONS = 8  # dimensions up to which log-determinants are exact
LOG_DET_TERMS = 11  # of the series of log det(I + J)
CLIP = 10.0  # norm of a gradient
FEW_TO_TRAIN = 50  # different points, below which nothing is trained
CHECKS = 10  # times that held-out points are asked during the training of a block

Layers = list[tuple[Any, Any]]  # weights and biases, torch tensors


@dataclass(frozen=True)
class ResidualBlocks:
    """Residual blocks x + f(x) for `JKOSampler`, f a tanh network whose Lipschitz constant is kept below 1: invertible everywhere.

    Parameters
    ----------
    width, depth : of the hidden layers.
    lipschitz : the bound, below 1; the product of the layers' norms is scaled down to it.
    iterations : of Adam, for one block.
    batch : points in each.
    rate : of Adam.

    Notes
    -----
    The iterate with the best KL of held-out points is taken.  Cost of an iteration for n = batch points: n·depth·width²·d.

    Examples
    --------
    >>> from pmasolve import JKOSampler, SampleProblem, evolve
    >>> problem = SampleProblem(2 + np.random.default_rng(0).standard_normal((300, 1)))
    >>> flow = JKOSampler(problem, ResidualBlocks(16, iterations=40))
    >>> bool(evolve(flow, flow.times(1), throw=False).records["stretch"][0] > 0)
    True
    """

    width: int = 32
    depth: int = 2
    lipschitz: float = 0.9
    iterations: int = 300
    batch: int = 256
    rate: float = 5e-3

    timed: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check(self)
        if not 0 < number(self.lipschitz, "lipschitz") < 1:
            raise ValueError(f"lipschitz={self.lipschitz}: give a bound between 0 and 1, for example 0.9")

    def admit(self, problem: SampleProblem) -> None:
        """Refuse fewer than fifty different points."""
        _admit_data(problem)

    def size(self, dim: int) -> int:
        """Numbers of the network."""
        return numbers_in(width_of(dim, self.width, self.depth, timed=False))

    def block(self, row: Array, dim: int) -> ResidualBlock:
        """The block of a row."""
        return ResidualBlock(Perceptron.of_row(row, width_of(dim, self.width, self.depth, timed=False)))

    def made(self, network: Perceptron) -> ResidualBlock:
        """The block of a network."""
        return ResidualBlock(network)

    def bounded(self, layers: Layers) -> Layers:
        """The layers, the last one scaled so that the product of all norms is at most the bound."""
        product = torch.stack([torch.linalg.matrix_norm(W, 2) for W, _ in layers]).prod()
        scale = torch.clamp(self.lipschitz / product.clamp_min(1e-12), max=1.0)
        W, b = layers[-1]
        return [*layers[:-1], (W * scale, b)]

    def carried(self, layers: Layers, x: Any, signs: Any) -> tuple[Any, Any]:
        """T(x) and log det DT, or its estimate."""
        f, J = _network(
            layers, x, torch.eye(x.shape[1], dtype=x.dtype).expand(len(x), -1, -1) if signs is None else signs
        )
        if signs is None:
            return x + f, torch.linalg.slogdet(torch.eye(x.shape[1], dtype=x.dtype) + J)[1]
        total, term = 0.0, signs
        for k in range(1, LOG_DET_TERMS + 1):
            term = J if k == 1 else _network(layers, x, term)[1]
            total = total - (-1) ** k / k * (signs * term).sum((1, 2))
        return x + f, total

    def fitted(
        self, x: Array, held: Array, reference: Reference, gamma: float, seed: int
    ) -> tuple[Block, dict[str, float]]:
        """The trained block with the best KL of held-out points."""
        return best(self, x, held, reference, gamma, seed)


@dataclass(frozen=True)
class ODEBlocks:
    """Neural ODE blocks for `JKOSampler`: ẋ = v(x, t) over the unit interval, by four steps of Runge and Kutta's method of order 4.

    Parameters
    ----------
    width, depth : of the hidden layers of v, a tanh network.
    steps : of the method.
    iterations : of Adam, for one block.
    batch : points in each.
    rate : of Adam.

    Notes
    -----
    The iterate with the best KL of held-out points is taken.  Nothing guarantees that the steps have an inverse far from the data;
    where Newton's method finds none, samples are NaN and the recorded inversion error is infinite.
    Cost of an iteration for n = batch points: 4·steps·n·depth·width²·d.

    Examples
    --------
    >>> from pmasolve import JKOSampler, SampleProblem, evolve
    >>> problem = SampleProblem(2 + np.random.default_rng(0).standard_normal((300, 1)))
    >>> flow = JKOSampler(problem, ODEBlocks(16, iterations=40))
    >>> bool(evolve(flow, flow.times(1), throw=False).records["inversion"][0] < 1e-10)
    True
    """

    width: int = 32
    depth: int = 2
    steps: int = 4
    iterations: int = 300
    batch: int = 256
    rate: float = 5e-3

    timed: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _check(self)
        keep_integers(self, steps=1)

    def admit(self, problem: SampleProblem) -> None:
        """Refuse fewer than fifty different points."""
        _admit_data(problem)

    def size(self, dim: int) -> int:
        """Numbers of the network."""
        return numbers_in(width_of(dim, self.width, self.depth, timed=True))

    def block(self, row: Array, dim: int) -> ODEBlock:
        """The block of a row."""
        return self.made(Perceptron.of_row(row, width_of(dim, self.width, self.depth, timed=True)))

    def made(self, network: Perceptron) -> ODEBlock:
        """The block of a network."""
        return ODEBlock(network, self.steps)

    def bounded(self, layers: Layers) -> Layers:
        """The layers as they are."""
        return layers

    def carried(self, layers: Layers, x: Any, signs: Any) -> tuple[Any, Any]:
        """x(1), and the integral of the divergence along the way, or its estimate."""
        h, logs = 1.0 / self.steps, torch.zeros(len(x), dtype=x.dtype)
        along = torch.eye(x.shape[1], dtype=x.dtype).expand(len(x), -1, -1) if signs is None else signs
        tangents = torch.cat([along, torch.zeros(*along.shape[:2], 1, dtype=x.dtype)], 2)

        def v(x: Any, t: float) -> tuple[Any, Any]:
            """Velocity and divergence."""
            value, J = _network(layers, torch.cat([x, torch.full_like(x[:, :1], t)], 1), tangents)
            return value, (along * J).sum((1, 2))

        for k in range(self.steps):
            t = k * h
            a, da = v(x, t)
            b, db = v(x + h / 2 * a, t + h / 2)
            c, dc = v(x + h / 2 * b, t + h / 2)
            e, de = v(x + h * c, t + h)
            x = x + h / 6 * (a + 2 * b + 2 * c + e)
            logs = logs + h / 6 * (da + 2 * db + 2 * dc + de)
        return x, logs

    def fitted(
        self, x: Array, held: Array, reference: Reference, gamma: float, seed: int
    ) -> tuple[Block, dict[str, float]]:
        """The trained block with the best KL of held-out points."""
        return best(self, x, held, reference, gamma, seed)


def iterates(
    family: ResidualBlocks | ODEBlocks, x: Array, reference: Reference, gamma: float, seed: int, every: int
) -> Iterator[tuple[int, Block]]:
    """A block under training: the identity, then after every ``every`` iterations of Adam and after the last.

    Parameters
    ----------
    family : what is trained.
    x : (n, d) points.
    reference : q.
    gamma : γ.
    seed : of the weights and the batches; one seed, one answer.
    every : iterations between two blocks.
    """
    rng, points = np.random.default_rng(seed), torch.tensor(x)
    d = x.shape[1]
    layers = _initial_layers(width_of(d, family.width, family.depth, timed=family.timed), rng)
    adam = torch.optim.Adam([part for pair in layers for part in pair], lr=family.rate)
    steps = torch.optim.lr_scheduler.CosineAnnealingLR(adam, family.iterations, eta_min=0.05 * family.rate)
    V = _potential(reference)
    for k in range(family.iterations + 1):
        if k % every == 0 or k == family.iterations:
            yield k, family.made(_arrays(family.bounded(layers)))
        if k == family.iterations:
            return
        batch = points[torch.from_numpy(rng.integers(len(x), size=min(family.batch, len(x))))]
        signs = None if d <= EXACT_DIMENSIONS else torch.from_numpy(rng.choice([-1.0, 1.0], size=(len(batch), 1, d)))
        image, logs = family.carried(family.bounded(layers), batch, signs)
        loss = (V(image) - logs + ((image - batch) ** 2).sum(1) / (2 * gamma)).mean()
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([part for pair in layers for part in pair], CLIP)
        adam.step()
        steps.step()


def best(
    family: ResidualBlocks | ODEBlocks, x: Array, held: Array, reference: Reference, gamma: float, seed: int
) -> tuple[Block, dict[str, float]]:
    """The iterate with the best KL of held-out points, and which one it was."""
    every = max(1, family.iterations // CHECKS)
    found = [
        (-float(np.mean(reference.log_density(block.image(held)) + log_det_of(block, held))), k, block)
        for k, block in iterates(family, x, reference, gamma, seed, every)
        if k
    ]
    _, k, block = min(found, key=lambda one: (not np.isfinite(one[0]), one[0]))
    return block, {"iteration": float(k)}


def _check(family: ResidualBlocks | ODEBlocks) -> None:
    keep_integers(family, width=1, depth=1, iterations=1, batch=1)
    if not 0 < number(family.rate, "rate") < np.inf:
        raise ValueError(f"rate={family.rate}: give a positive learning rate, for example 5e-3")


def _admit_data(problem: SampleProblem) -> None:
    different = len(np.unique(problem.data, axis=0))
    if different < FEW_TO_TRAIN:
        raise ValueError(f"{different} different points: a network needs at least {FEW_TO_TRAIN}; take ConvexBlocks(0)")


def _initial_layers(widths: tuple[int, ...], rng: np.random.Generator) -> Layers:
    """Normal weights of variance 1/width, and zeros in the last layer: the identity."""
    layers = []
    for k, (into, out) in enumerate(pairwise(widths)):
        scale = 0.0 if k == len(widths) - 2 else into**-0.5
        W, b = scale * rng.standard_normal((out, into)), (scale > 0) * rng.uniform(-1, 1, out)
        layers.append(tuple(torch.tensor(part, requires_grad=True) for part in (W, b)))
    return layers


def _arrays(layers: Layers) -> Perceptron:
    weights, biases = zip(*((W.detach().numpy().copy(), b.detach().numpy().copy()) for W, b in layers), strict=True)
    return Perceptron(weights, biases)


def _network(layers: Layers, x: Any, tangents: Any) -> tuple[Any, Any]:
    """Values, and images (n, m, out) of tangents (n, m, in): `samples.jko.networks.Perceptron.at` in torch."""
    J = tangents
    for k, (W, b) in enumerate(layers):
        x, J = x @ W.T + b, J @ W.T
        if k < len(layers) - 1:
            x = torch.tanh(x)
            J = J * (1 - x**2)[:, None, :]
    return x, J


def _potential(reference: Reference) -> Callable[[Any], Any]:
    """V = −log q but for its constant."""
    inverse = torch.tensor(np.linalg.inv(reference.factor))
    mean = torch.tensor(reference.mean)
    return lambda x: 0.5 * (((x - mean) @ inverse.T) ** 2).sum(1)
