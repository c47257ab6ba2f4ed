"""A transport map between two clouds of samples, evaluated where no sample lies."""

import numpy as np

import pmasolve as pma

# --- Samples of two Gaussians; the optimal map between the laws is x ↦ (2x₁, x₂/2) + (1, 0) ---
rng = np.random.default_rng(7)
x = rng.standard_normal((2000, 2))
y = rng.standard_normal((2000, 2)) * [2.0, 0.5] + [1.0, 0.0]
problem = pma.Problem.from_samples(x, y)

# --- Schrödinger potentials at ε = 0.05, certified ---
found = pma.schroedinger(problem, eps=0.05)
print(found.outcome, "in", found.iterations, "iterations; duality gap", f"{found.plan.duality_gap:.1e}")

# --- The map at new points ---
new = rng.standard_normal((500, 2))
exact = new * [2.0, 0.5] + [1.0, 0.0]
error = np.sqrt(np.mean(np.sum((found.plan.phi.map(new) - exact) ** 2, axis=1)))
print(f"root mean square error of the map {error:.2f}")
assert error < 0.3
