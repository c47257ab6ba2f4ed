"""Files of named arrays with a JSON header (.npz), no pickles; written whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .arrays import Array

Name = str | os.PathLike[str]


def target_of(path: Name, suffix: str = ".npz") -> Path:
    """The path with the suffix that the file will have."""
    target = Path(path)
    return target if target.suffix == suffix else target.with_name(target.name + suffix)


def check_writable(path: Name) -> None:
    """Raise ``OSError`` now rather than after hours if nothing can be written there.

    Raises
    ------
    OSError : the folder does not exist or cannot be written, or the path is a folder.
    """
    target = Path(path)
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a folder: give the name of a file")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{target}: the folder {target.parent} does not exist; make it first")
    try:
        handle, temporary = tempfile.mkstemp(dir=target.parent, suffix=".part")
    except OSError as error:
        raise PermissionError(f"{target} cannot be written: {error}") from error
    os.close(handle)
    Path(temporary).unlink()


def write(path: Name, header: Mapping[str, Any], arrays: Mapping[str, Array]) -> Path:
    """Write header and arrays to ``path`` (.npz); an existing file is replaced only once all is written.

    Raises
    ------
    OSError : the folder does not exist or cannot be written.
    """
    target = target_of(path)
    handle, temporary = tempfile.mkstemp(dir=target.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as stream:
            np.savez(stream, header=np.array(json.dumps(header)), **arrays)
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return target


def read(path: Name, kind: str, needed: Collection[str]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Header and arrays of a file whose header says ``format: kind``.

    Raises
    ------
    FileNotFoundError : no such file.
    ValueError : a truncated file, or one of another kind.
    """
    try:
        with np.load(path, allow_pickle=False) as data:
            arrays = {name: data[name] for name in data.files}
    except FileNotFoundError:
        raise
    except (OSError, ValueError, EOFError, KeyError, AttributeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} cannot be read ({error}): it is truncated, or not a file of pmasolve") from error
    header = json.loads(str(arrays.pop("header"))) if "header" in arrays else {}
    if header.get("format") != kind:
        raise ValueError(f"{path} has format {header.get('format')!r}, not {kind!r}")
    if missing := set(needed) - arrays.keys():
        raise ValueError(f"{path} lacks {', '.join(sorted(missing))}: it is not complete")
    return header, arrays
