"""TIFF; the only importer of tifffile (extra ``tiff``), which reads every sample format, where Pillow cuts, guesses or refuses.

Compressed files need its companion imagecodecs, which the extra brings.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from tifffile import PHOTOMETRIC, TiffFile, TiffPage

from ...machine.archives import BadFile
from ...machine.arrays import Array
from .samples import Choice, Samples, checked_frame, luminance, refuse_transparency

SPACE = set("ZYXQI")  # depth, height, width, and pages of which the file says no more
READ = "save it in grey or RGB"


def read(file: Path, choice: Choice) -> Samples:
    """One page, or all pages as layers, first axis, where they are alike: grey as it is, colours as their luminance."""
    with _damage_told() as damage:
        values = _values(file, choice)
    if damage:
        raise ValueError(damage[0])
    return Samples(values)


@contextmanager
def _damage_told() -> Iterator[list[str]]:
    """What tifffile logs of pages that it leaves out; of tags that it cannot read only those matter without which it fails."""
    damage: list[str] = []
    handler, logger = logging.Handler(logging.WARNING), logging.getLogger("tifffile")
    handler.emit = lambda record: damage.append(record.getMessage())
    handler.addFilter(lambda record: "TiffTag " not in record.getMessage())
    logger.addHandler(handler)
    try:
        yield damage
    finally:
        logger.removeHandler(handler)


def _values(file: Path, choice: Choice) -> Array:
    with TiffFile(file) as tiff:
        if choice.frame is not None or len(tiff.pages) == 1:
            page = tiff.pages[checked_frame(file, len(tiff.pages), choice)].aspage()
            return _grey_pages(file, page, page.asarray(), page.axes)
        if len(tiff.series) != 1 or set(tiff.series[0].axes) - SPACE - {"S"}:
            checked_frame(file, len(tiff.pages), choice)
        pages = tiff.series[0]
        return _grey_pages(file, pages.keyframe, pages.asarray(), pages.axes)


def _grey_pages(file: Path, page: TiffPage, values: Array, axes: str) -> Array:
    """The numbers of pages that are like this one."""
    if (turned := page.tags.valueof("Orientation", 1)) != 1:
        raise BadFile(f"{file} is to be turned to be seen (orientation {int(turned)}): turn it, and save it so")
    samples = np.moveaxis(values, axes.index("S"), -1) if "S" in axes else values[..., None]
    match page.photometric:
        case PHOTOMETRIC.RGB if samples.shape[-1] >= 3:
            return luminance(_colours(file, samples, 3))
        case PHOTOMETRIC.MINISBLACK:
            return _colours(file, samples, 1)[..., 0]
        case PHOTOMETRIC.MINISWHITE:
            return _light(file, page, _colours(file, samples, 1)[..., 0])
        case PHOTOMETRIC.PALETTE:
            return luminance(np.moveaxis(page.colormap, 0, -1)[_colours(file, samples, 1)[..., 0]])
    raise BadFile(f"{file} has colours of kind {getattr(page.photometric, 'name', page.photometric)}: {READ}")


def _colours(file: Path, samples: Array, count: int) -> Array:
    """The first ``count`` samples of each pixel; what follows must be an opaque alpha channel."""
    extra = samples[..., count:]
    full = np.iinfo(extra.dtype).max if extra.dtype.kind in "ui" else 1
    if extra.shape[-1] > 1:
        raise BadFile(f"{file} has {samples.shape[-1]} channels: {READ}")
    refuse_transparency(file, bool(np.all(extra == full)))
    return samples[..., :count]


def _light(file: Path, page: TiffPage, values: Array) -> Array:
    """0 is white: large numbers are dark."""
    if values.dtype.kind not in "ub":
        raise BadFile(f"{file} says that 0 is white and holds {values.dtype} values: {READ}, with 0 black")
    return (2**page.bitspersample - 1) - values.astype(np.float64)
