#!/usr/bin/env bash
# geomloss 0.3.1 has two interfaces with different conventions.  SamplesLoss("sinkhorn", p=2, blur=s, debias=False,
# potentials=True) takes the cost |x-y|^2/2 and eps = s^2; geomloss.ot.solve_sample(..., reg=r) takes |x-y|^2, and its
# potentials at r = 2 s^2 are twice as large: for one plan, potential_a = 2 F up to a constant.
# Seen: ratio of the ranges of both potentials 2.01 (torch 2.13, CPU).  Nothing in a result tells which it is.
set -euo pipefail
here=$(mktemp -d); trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install -q --disable-pip-version-check "torch==2.13.0" "geomloss==0.3.1" "numpy>=2,<3" scipy
"$here/venv/bin/python" -W ignore - <<'PY'
import geomloss
import geomloss.ot
import torch

torch.manual_seed(0)
x, y = torch.rand(60, 2, dtype=torch.float64), torch.rand(50, 2, dtype=torch.float64) ** 2
a, b = torch.full((60,), 1 / 60, dtype=torch.float64), torch.full((50,), 1 / 50, dtype=torch.float64)
blur = 0.2
first = geomloss.SamplesLoss(
    "sinkhorn", p=2, blur=blur, scaling=0.99, debias=False, potentials=True, backend="tensorized"
)
F, _ = first(a, x, b, y)
second = geomloss.ot.solve_sample(x, y, a=a, b=b, reg=2 * blur**2, max_iter=500)
F, f = F.reshape(-1), second.potential_a.reshape(-1)
F, f = F - F.mean(), f - f.mean()
ratio = float((f @ F) / (F @ F))
print(f"potential_a of geomloss.ot over F of SamplesLoss: {ratio:.3f}, left over {float((f - ratio * F).abs().max()):.1e}")
assert abs(ratio - 2) < 2e-2, "the interfaces agree now, or differ otherwise: this finding is out of date"
PY
