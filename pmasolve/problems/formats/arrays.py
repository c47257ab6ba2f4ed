"""NumPy's .npy and .npz."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .samples import Choice, Samples, named, paged, refuse_colours


def read(file: Path, choice: Choice) -> Samples:
    """The array of an .npy file, or one of an .npz file."""
    loaded = np.load(file, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        return Samples(paged(file, refuse_colours(file, loaded), choice))
    with loaded:
        values = loaded[named(file, list(loaded.files), choice)]
    return Samples(paged(file, refuse_colours(file, values), choice))
