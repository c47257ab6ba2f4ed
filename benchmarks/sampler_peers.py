"""Peers of the samplers in PyTorch: maximum likelihood by Adam on the same log-sum-exp potential, and a coupling flow of zuko."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
import zuko
from sampler_families import Array

from pmasolve import LogSumExp, SampleProblem

torch.set_num_threads(1)
BATCH = 512
STEPS, CHECK, PATIENCE = 1200, 50, 6  # of the coupling flow
GRID = [(rate, transforms, 64) for rate in (1e-3, 3e-3) for transforms in (2, 4)]  # of which held-out points choose


class Potential(torch.nn.Module):
    """½yᵀ(δI + LLᵀ)y + c·y + Σ_k ε_k log Σ_j exp((a_kj·y − b_kj)/ε_k) from the same start as ours, by default of two sums."""

    def __init__(self, x: Array, anchors: int, seed: int) -> None:
        super().__init__()
        psi = LogSumExp(anchors).started(SampleProblem(x, held_out=0.0), seed)
        self.delta, self.sizes = psi.least, psi.sizes.tolist()
        lower = np.linalg.cholesky(psi.Q - psi.least * np.eye(psi.dim))
        for name, value in (("a", psi.a), ("b", psi.b), ("c", psi.c), ("L", lower), ("e", np.log(psi.eps))):
            setattr(self, name, torch.nn.Parameter(torch.tensor(np.asarray(value))))

    def at(self, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Value, gradient, Hessian."""
        d = y.shape[1]
        H = self.delta * torch.eye(d, dtype=y.dtype) + self.L @ self.L.T
        gradient = y @ H + self.c
        value = 0.5 * ((y @ H) * y).sum(1) + y @ self.c
        for eps, a, b in zip(self.e.exp(), self.a.split(self.sizes), self.b.split(self.sizes), strict=True):
            u = (y @ a.T - b) / eps
            p = torch.softmax(u, 1)
            mean, squares = p @ a, (a[:, :, None] * a[:, None, :]).reshape(len(a), -1)
            value = value + eps * torch.logsumexp(u, 1)
            gradient = gradient + mean
            H = H + ((p @ squares).reshape(-1, d, d) - mean[:, :, None] * mean[:, None, :]) / eps
        return value, gradient, H

    @torch.no_grad()
    def inverse(self, x: torch.Tensor, z: torch.Tensor, iterations: int = 30, tol: float = 1e-4) -> torch.Tensor:
        """Newton with a line search on values."""
        z, active = z.clone(), torch.arange(len(x))
        for _ in range(iterations):
            value, T, H = self.at(z[active])
            r = T - x[active]
            keep = r.norm(dim=1) > tol
            if not keep.any():
                break
            active, r, H, value = active[keep], r[keep], H[keep], value[keep]
            step = -torch.linalg.solve(H, r[:, :, None])[:, :, 0]
            before, slope, t = value - (x[active] * z[active]).sum(1), (step * r).sum(1), torch.ones(len(active))
            for _ in range(20):
                new = z[active] + t[:, None] * step
                worse = self.at(new)[0] - (x[active] * new).sum(1) > before + 1e-4 * t * slope + 1e-9
                if not worse.any():
                    break
                t[worse] *= 0.5
            z[active] = z[active] + t[:, None] * step
        return z

    @torch.no_grad()
    def nll(self, x: torch.Tensor) -> float:
        """Of test points."""
        z = self.inverse(x, torch.zeros_like(x), 60, 1e-8)
        return float(
            (0.5 * (z * z).sum(1) + 0.5 * x.shape[1] * math.log(2 * math.pi) + torch.logdet(self.at(z)[2])).mean()
        )

    @torch.no_grad()
    def sample(self, n: int, seed: int) -> Array:
        """∇ψ at normal points."""
        y = torch.tensor(np.random.default_rng(seed).standard_normal((n, self.a.shape[1])))
        return self.at(y)[1].numpy()


def likelihood(
    x: Array, anchors: int, seed: int, rate: float, steps: int, every: int
) -> Iterator[tuple[float, Potential]]:
    """Adam with a cosine on minibatches of 512; processor seconds so far and the potential, every so many steps."""
    torch.manual_seed(seed)
    began, spent = time.process_time(), 0.0
    psi, data = Potential(x, anchors, seed), torch.tensor(x)
    Z = torch.zeros_like(data)
    adam = torch.optim.Adam(psi.parameters(), lr=rate)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    for k in range(steps):
        i = torch.randint(len(data), (BATCH,))
        Z[i] = start = psi.inverse(data[i], Z[i], 8)
        _, T, H = psi.at(start)
        z = start - torch.linalg.solve(H.detach(), (T - T.detach())[:, :, None])[:, :, 0]  # ∂z/∂θ
        loss = 0.5 * (z * z).sum(1).mean() + torch.logdet(psi.at(z)[2]).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        cosine.step()
        if (k + 1) % every == 0:
            spent += time.process_time() - began
            yield spent, psi
            began = time.process_time()


Coupling = tuple[float, Callable[[Array], float], Callable[[int], Array]]


def coupling(x: Array, seed: int) -> Coupling:
    """The best by a tenth of the points of small grids of rates and sizes: seconds of all, NLL of points, samples."""
    fits = {setting: _coupled(x, seed, *setting) for setting in GRID}
    best = min(fits, key=lambda setting: fits[setting][0])
    told = ", ".join(f"{setting}: {held:.3f} in {fit[0]:.0f} s" for setting, (held, fit) in fits.items())
    print(f"coupling flows (rate, transforms, width) by held-out points: {told}", flush=True)
    return sum(fit[0] for _, fit in fits.values()), *fits[best][1][1:]


def _coupled(x: Array, seed: int, rate: float, transforms: int, width: int) -> tuple[float, Coupling]:
    """A neural spline flow with coupling layers, kept at its best for a tenth of the points, and what these have then."""
    torch.manual_seed(seed)
    began = time.process_time()
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    data = torch.tensor((x - mean) / deviation, dtype=torch.float32)[torch.randperm(len(x))]
    held, data = data[: len(x) // 10], data[len(x) // 10 :]
    flow = zuko.flows.NSF(x.shape[1], transforms=transforms, passes=2, hidden_features=(width, width))
    adam = torch.optim.Adam(flow.parameters(), lr=rate)
    best, kept, worse = math.inf, flow.state_dict(), 0
    for k in range(STEPS):
        loss = -flow().log_prob(data[torch.randint(len(data), (BATCH,))]).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        if k % CHECK == CHECK - 1:
            with torch.no_grad():
                now = float(-flow().log_prob(held).mean())
            worse = 0 if now < best else worse + 1
            if now < best:
                best, kept = now, {name: value.clone() for name, value in flow.state_dict().items()}
            if worse == PATIENCE:
                break
            for group in adam.param_groups:
                group["lr"] = rate * 0.5 ** (worse // 3)
    flow.load_state_dict(kept)
    spent = time.process_time() - began

    def nll(points: Array) -> float:
        """Of test points, in their units."""
        with torch.no_grad():
            white = torch.tensor((points - mean) / deviation, dtype=torch.float32)
            return float(-flow().log_prob(white).mean() + np.log(deviation).sum())

    def sample(n: int) -> Array:
        """n points."""
        with torch.no_grad():
            return flow().sample((n,)).numpy().astype(float) * deviation + mean

    return best + float(np.log(deviation).sum()), (spent, nll, sample)
