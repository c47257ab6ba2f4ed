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
RATE, STEPS, CHECK, PATIENCE = 3e-3, 1200, 50, 6  # of the coupling flow, chosen on seeds 0–2
TRANSFORMS, HIDDEN = 4, (64, 64)


class Potential(torch.nn.Module):
    """½yᵀ(δI + LLᵀ)y + c·y + ε log Σ exp((a_j·y − b_j)/ε) from the same start as ours."""

    def __init__(self, x: Array, anchors: int, seed: int) -> None:
        super().__init__()
        psi = LogSumExp(anchors).started(SampleProblem(x, held_out=0.0), seed)
        self.delta = psi.least
        lower = np.linalg.cholesky(psi.Q - psi.least * np.eye(psi.dim))
        for name, value in (("a", psi.a), ("b", psi.b), ("c", psi.c), ("L", lower), ("e", np.log(psi.eps))):
            setattr(self, name, torch.nn.Parameter(torch.tensor(np.asarray(value))))

    def at(self, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Value, gradient, Hessian."""
        eps, d = self.e.exp(), y.shape[1]
        u = (y @ self.a.T - self.b) / eps
        p = torch.softmax(u, 1)
        Q = self.delta * torch.eye(d, dtype=y.dtype) + self.L @ self.L.T
        mean = p @ self.a
        value = 0.5 * ((y @ Q) * y).sum(1) + y @ self.c + eps * torch.logsumexp(u, 1)
        squares = (self.a[:, :, None] * self.a[:, None, :]).reshape(len(self.a), -1)
        H = Q + ((p @ squares).reshape(-1, d, d) - mean[:, :, None] * mean[:, None, :]) / eps
        return value, y @ Q + self.c + mean, H

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


def coupling(
    x: Array, seed: int, rate: float = RATE, steps: int = STEPS
) -> tuple[float, Callable[[Array], float], Callable[[int], Array]]:
    """A neural spline flow with coupling layers, kept at its best for a tenth of the points: seconds, NLL of points, samples."""
    torch.manual_seed(seed)
    began = time.process_time()
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    data = torch.tensor((x - mean) / deviation, dtype=torch.float32)[torch.randperm(len(x))]
    held, data = data[: len(x) // 10], data[len(x) // 10 :]
    flow = zuko.flows.NSF(x.shape[1], transforms=TRANSFORMS, passes=2, hidden_features=HIDDEN)
    adam = torch.optim.Adam(flow.parameters(), lr=rate)
    best, kept, worse = math.inf, flow.state_dict(), 0
    for k in range(steps):
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

    return spent, nll, sample
