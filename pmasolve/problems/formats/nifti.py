"""NIfTI and Analyze volumes; the only importer of nibabel (extra ``nifti``)."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np

from .samples import Choice, Samples, checked_frame


def read(file: Path, choice: Choice) -> Samples:
    """The scaled numbers, axes i, j, k as nibabel has them; of several volumes one; with voxel sizes and directions."""
    image = nibabel.load(file)
    values = np.asarray(image.get_fdata(dtype=np.float64, caching="unchanged"))
    while values.ndim > 3:
        values = values[..., checked_frame(file, values.shape[-1], choice, "volumes")]
    zooms = tuple(float(zoom) for zoom in image.header.get_zooms()[: values.ndim])
    directions = "".join(str(code) for code in nibabel.aff2axcodes(image.affine))
    return Samples(values, zooms, directions).squeezed()
