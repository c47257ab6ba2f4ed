"""
The noise at which a law is hard to denoise
===========================================

For two points ±1 the posterior splits in two between signal-to-noise ratios 1 and 3 (Liang,
Dharmakeerthi, Koriyama, arXiv 2411.01629).
"""

import matplotlib.pyplot as plt
import numpy as np

from pmasolve import denoising

snr = np.geomspace(0.3, 10, 60)
found = denoising.complexity(denoising.two_points(), snr=snr)
hardest = denoising.hardest_snr(denoising.two_points(), 0.5, 5.0)
print(f"hardest at r = {hardest:.3f}")

# %%
# The share of noisy points at which a denoising step expands instead of contracting.
picture, axis = plt.subplots(figsize=(4.5, 3.0), layout="constrained")
axis.semilogx(snr, found.survival(1.0), label="P(L > 1)")
axis.semilogx(snr, found.integrated_tail(0.0), label="E(L − 1)₊")
axis.axvline(hardest, color="0.6", linestyle="--")
axis.set(xlabel="signal-to-noise ratio r", ylabel="complexity")
axis.legend()
at = denoising.complexity(denoising.two_points(), snr=[1.5, 3.0])
assert np.allclose(at.survival(1.0), [0.17923, 0.00776], atol=5e-6)  # the table of Fig. 1
