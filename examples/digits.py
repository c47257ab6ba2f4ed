"""
Digits that nobody wrote
========================

Handwritten digits in ten principal components: a density with scikit-learn's face, and new digits by one gradient.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier

from pmasolve.samples.samplers.scikit import SamplerDensity

# %%
# 1797 pictures of 8 × 8; ten components hold three quarters of their variance.
pictures, names = load_digits(return_X_y=True)
train, test = train_test_split(pictures, test_size=0.25, random_state=0)
components = PCA(10).fit(train)
x, fresh = components.transform(train), components.transform(test)

# %%
# The map from normal points to digits, beside the normal law and a mixture of normals: nats a digit that was not seen.
density = SamplerDensity(anchors=20, steps=30).fit(x)
normal = GaussianMixture(1).fit(x)
mixture = GaussianMixture(20, reg_covar=0.3, random_state=0).fit(x)
print(f"map {density.score(fresh):.2f}, normal {normal.score(fresh):.2f}, mixture {mixture.score(fresh):.2f}")
print(density.sampler_)

# %%
# New digits, and what a classifier that knows the old ones takes them for.
new = components.inverse_transform(density.sample(400, random_state=1))
judge = KNeighborsClassifier(5).fit(pictures, names)
shares = np.bincount(judge.predict(new), minlength=10) / len(new)
print("shares of 0 … 9:", " ".join(f"{share:.2f}" for share in shares))

# %%
figure, panels = plt.subplots(2, 1, figsize=(6.5, 3.4), layout="constrained")
shown = components.inverse_transform(components.transform(test[:24]))
for panel, some, title in zip(panels, (shown, new[:24]), ("written, in ten components", "generated"), strict=True):
    framed = np.pad(some.reshape(2, 12, 8, 8), ((0, 0), (0, 0), (1, 1), (1, 1)))
    rows = framed.transpose(0, 2, 1, 3).reshape(20, 120)
    panel.imshow(rows, cmap="gray_r", vmin=0, vmax=16)
    panel.set(xticks=[], yticks=[], title=title)
assert density.score(fresh) > normal.score(fresh) + 1
assert shares.min() > 0.02
