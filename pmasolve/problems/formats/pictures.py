"""PNG, JPEG, BMP, GIF, PPM, WebP; the only importer of Pillow.

Of what Pillow opens only these are read: others it cuts to 8 bits, turns upside down, or hands to another program.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ...machine.archives import BadFile
from ...machine.arrays import Array
from .samples import Choice, Samples, checked_frame, luminance, refuse_transparency

PICTURE_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "WEBP")
ALPHA = ("LA", "PA", "RGBA", "La", "RGBa")
PICTURE_REMEDY = "save it in grey with 16 bits, or as TIFF"


def read(file: Path, choice: Choice) -> Samples:
    """Grey values as they are, colours as their luminance, turned as the camera says (EXIF); rows along the first axis."""
    with Image.open(file, formats=PICTURE_FORMATS) as image:
        image.seek(checked_frame(file, getattr(image, "n_frames", 1), choice, "frames"))
        highest = _highest(file, image)
        values = _grey(file, ImageOps.exif_transpose(image))
    return Samples(np.rint(values * (highest / _scale(values.dtype))) if highest else values)


def _grey(file: Path, image: Image.Image) -> Array:
    values = np.asarray(image)
    if image.mode[0] in "IF":
        refuse_transparency(file, not np.any(values == image.info.get("transparency", -1)))
        return values
    if image.mode in ALPHA or "transparency" in image.info:
        refuse_transparency(file, bool(np.all(np.asarray(image.convert("RGBA"))[..., 3] == 255)))
    if image.mode in ("1", "L", "LA", "La"):
        return np.asarray(image.convert("L"))
    if image.mode not in ("P", "PA", "RGB", "RGBA"):
        raise BadFile(f"{file} has colours of kind {image.mode}: save it in grey or RGB")
    return luminance(np.asarray(image.convert("RGB")))


def _highest(file: Path, image: Image.Image) -> int | None:
    """What is white in a grey PPM file, whose numbers Pillow has scaled; colours of 16 bits, which it cuts to 8, are refused."""
    with file.open("rb") as stream:
        head = stream.read(4096)
    deep, highest = image.format == "PNG" and head[24] == 16 and head[25] in (2, 4, 6), None
    if image.format == "PPM" and image.mode[0] in "LIR":
        words = b" ".join(line.partition(b"#")[0] for line in head.splitlines()).split()
        deep, highest = image.mode == "RGB" and int(words[3]) > 255, int(words[3])
    if deep:
        raise BadFile(f"{file} has colours of 16 bits, of which 8 would be read: {PICTURE_REMEDY}")
    return None if image.mode == "RGB" else highest


def _scale(kind: np.dtype) -> int:
    """White after Pillow's scaling."""
    return 65535 if kind.kind in "iu" and kind.itemsize > 1 else 255
