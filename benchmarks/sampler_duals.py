"""OTT-JAX's neural duals as samplers: a map from N(0, I) to whitened data, without a density."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import jax
import numpy as np
import optax
from ott.neural.methods.expectile_neural_dual import ExpectileNeuralDual
from ott.neural.methods.neuraldual import W2NeuralDual
from ott.neural.networks import icnn, potentials
from sampler_families import Array

BATCH = 512
HIDDEN = (64, 64, 64, 64)

Draws = tuple[float, Callable[[int], Array]]  # seconds, samples


def duals(x: Array, seed: int, kind: str, rate: float, steps: int) -> Draws:
    """``kind``: "ENOT", "ICNN" (both potentials convex networks) or "MLP" (potential and gradient, back and forth)."""
    began = time.process_time()
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    white = ((x - mean) / deviation).astype(np.float32)
    rng, d, key = np.random.default_rng(seed), x.shape[1], jax.random.key(seed)

    def normals() -> Iterator[Array]:
        while True:
            yield rng.standard_normal((BATCH, d)).astype(np.float32)

    def data() -> Iterator[Array]:
        while True:
            yield white[rng.integers(0, len(white), BATCH)]

    def adam() -> optax.GradientTransformation:
        return optax.adam(optax.cosine_decay_schedule(rate, steps), b1=0.5 if kind != "ENOT" else 0.9, b2=0.9)

    options = {
        "optimizer_f": adam(),
        "optimizer_g": adam(),
        "num_train_iters": steps,
        "valid_freq": steps + 1,
        "rng": key,
    }
    if kind == "ENOT":
        solver = ExpectileNeuralDual(d, **options)
    elif kind == "ICNN":
        f, g = (icnn.ICNN(dim_data=d, dim_hidden=HIDDEN, pos_weights=True) for _ in range(2))
        solver = W2NeuralDual(d, f, g, **options)
    else:
        f, g = (potentials.PotentialMLP(HIDDEN, is_potential=k, act_fn=jax.nn.elu) for k in (True, False))
        solver = W2NeuralDual(d, f, g, **options)
    found = solver(normals(), data(), normals(), data())

    def sample(n: int) -> Array:
        """n points."""
        y = np.random.default_rng(seed + 1).standard_normal((n, d)).astype(np.float32)
        return np.asarray(found.transport(y), dtype=np.float64) * deviation + mean

    sample(8)
    return time.process_time() - began, sample
