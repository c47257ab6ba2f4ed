"""NRRD volumes; the only importer of pynrrd (extra ``nrrd``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nrrd
import numpy as np

from ...machine.archives import BadFile
from .samples import Choice, Samples, paged

PLACES = {"domain", "space", "time"}


def read(file: Path, choice: Choice) -> Samples:
    """The numbers, the file's fastest axis first as pynrrd has them, with spacings and directions where the file knows them."""
    values, header = nrrd.read(str(file))
    kinds = {str(kind).lower() for kind in header.get("kinds", [])} - {"", "none", "???"}
    if kinds - PLACES:
        raise BadFile(f"{file} has an axis of kind {', '.join(sorted(kinds - PLACES))}: give one number for each point")
    spacing, directions = _geometry(header)
    if choice.frame is not None:
        return Samples(paged(file, values, choice, axis=values.ndim - 1), spacing and spacing[:-1], directions)
    return Samples(values, spacing, directions)


def _geometry(header: dict[str, Any]) -> tuple[tuple[float, ...] | None, str | None]:
    """Spacing of each axis, and where they point."""
    if (vectors := header.get("space directions")) is not None:
        vectors = np.array([v if v is not None else np.full(3, np.nan) for v in vectors], dtype=np.float64)
        spacing = np.linalg.norm(vectors, axis=1)
        largest = np.argmax(np.abs(np.nan_to_num(vectors)), axis=1)
        signs = "".join("+-"[int(vector[j] < 0)] + str(j) for vector, j in zip(vectors, largest, strict=True))
        directions = f"{header.get('space', '')} {signs}".strip()
    elif (found := header.get("spacings")) is not None:
        spacing, directions = np.asarray(found, dtype=np.float64), None
    else:
        return None, None
    known = bool(np.isfinite(spacing).all() and np.all(spacing > 0))
    return (tuple(spacing.tolist()) if known else None), directions
