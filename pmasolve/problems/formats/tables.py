"""Numbers in text: .csv, .tsv, .txt, .dat, separated by commas, semicolons, tabs or blanks; # starts a comment."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import numpy as np

from ...machine.archives import BadFile
from .samples import Choice, Samples

SEPARATORS = ",;\t"


def read(file: Path, choice: Choice) -> Samples:
    """The lines as rows; one row or one column has one axis."""
    lines = data_lines(file)
    if not lines:
        raise BadFile(f"{file} holds no numbers")
    separator = next((mark for mark in SEPARATORS if mark in lines[0]), None)
    if separator is not None and all(line.endswith(separator) for line in lines):
        lines = [line[:-1] for line in lines]
    try:
        values = np.loadtxt(StringIO("\n".join(lines)), delimiter=separator, comments=None)
    except ValueError as error:
        raise BadFile(
            f"{file}: {str(error).partition(';')[0]}: give rows of equally many numbers, without a line of titles"
        ) from None
    return Samples(values)


def data_lines(file: Path) -> list[str]:
    """The lines that hold something besides comments."""
    text = file.read_text("utf-8-sig")  # Excel begins with a mark of byte order
    return [line for row in text.splitlines() if (line := row.partition("#")[0].strip(" \r"))]
