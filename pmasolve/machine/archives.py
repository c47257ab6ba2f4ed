"""Files: written whole or not at all, read through one door; named arrays with a JSON header (.npz), no pickles."""

from __future__ import annotations

import json
import os
import secrets
import stat
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .arrays import Array, shown

Name = str | os.PathLike[str]


class BadFile(ValueError):
    """A file that is not what was asked for, in words that name it: `unreadable_refused` lets it pass as it is."""


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
        with _part(target) as (_, stream):
            stream.close()
    except OSError as error:
        raise PermissionError(f"{target} cannot be written: {error.strerror}") from error


@contextmanager
def atomic_write(path: Name) -> Iterator[BinaryIO]:
    """A stream whose content stands at ``path`` once the block has ended well; otherwise nothing changes there.

    A new file gets the permissions that the umask leaves, an old one keeps its own.

    Raises
    ------
    OSError : the folder does not exist or cannot be written, or the disk is full.
    """
    target = Path(os.path.realpath(path))  # a link stays one
    with _part(target) as (part, stream):
        yield stream
        stream.close()
        if target.exists():
            part.chmod(stat.S_IMODE(target.stat().st_mode))
        part.replace(target)


@contextmanager
def _part(target: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """A new file beside the target, which is gone afterwards unless it was moved."""
    part = target.with_name(f".{secrets.token_hex(6)}.part")
    stream = part.open("xb")
    try:
        yield part, stream
    finally:
        stream.close()
        part.unlink(missing_ok=True)


@contextmanager
def unreadable_refused(path: Name, wanted: str) -> Iterator[None]:
    """Whatever a reader stumbles over becomes one ``ValueError`` that names the file.

    Parameters
    ----------
    path : the file.
    wanted : what it should have been, for the message.

    Raises
    ------
    FileNotFoundError, PermissionError : as for any file.
    ValueError : a folder; a file that is damaged or of another kind: readers fail in many ways on bytes they do not expect.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise BadFile(f"path={shown(path)}: give the name of a file")
    if Path(path).is_dir():
        raise BadFile(f"{path} is a folder: give the name of a file")
    try:
        yield
    except (FileNotFoundError, PermissionError, BadFile):
        raise
    except Exception as error:  # zlib.error, struct.error, TokenError, RecursionError, MemoryError, …: the file's fault
        raise BadFile(f"{path} cannot be read ({shown(error, 200)}): it is truncated, or not {wanted}") from error


def write_archive(path: Name, header: Mapping[str, Any], arrays: Mapping[str, Array]) -> Path:
    """Write header and arrays to ``path`` (.npz); an existing file is replaced only once all is written.

    Raises
    ------
    OSError : the folder does not exist or cannot be written.
    """
    target = target_of(path)
    with atomic_write(target) as stream:
        np.savez(stream, header=np.array(json.dumps(header)), **arrays)
    return target


def spared(path: Name, holds_more: Callable[[Path], bool]) -> Path:
    """``path``, or a name beside it while what stands there holds more: name.unfinished.npz, name.unfinished-2.npz, …"""
    target = target_of(path)
    for k in count():
        beside = target.with_name(f"{target.stem}.unfinished{f'-{k}' if k > 1 else ''}.npz") if k else target
        if not beside.exists() or not holds_more(beside):
            return beside
    raise AssertionError


def read_archive(path: Name, kind: str, needed: Collection[str]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Header and arrays of a file whose header says ``format: kind``.

    Raises
    ------
    FileNotFoundError : no such file.
    ValueError : a damaged file, one of another kind, or of another version of the package.
    """
    with unreadable_refused(path, "a file of pmasolve"):
        if not zipfile.is_zipfile(path):  # before NumPy takes it for a pickle, and says how to open that
            Path(path).open("rb").close()
            raise ValueError("no archive of arrays")
        with np.load(path, allow_pickle=False) as data:
            arrays = {name: data[name] for name in data.files}
        header = json.loads(str(arrays.pop("header"))) if "header" in arrays else {}
        if not isinstance(header, dict):
            raise BadFile(f"{path} has a header that is no table: it is not a file of pmasolve")
    _check_kind(path, header.get("format"), kind)
    if missing := set(needed) - arrays.keys():
        raise BadFile(f"{path} lacks {', '.join(sorted(missing))}: it is not complete")
    return header, arrays


def with_prefix(arrays: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    """The arrays whose names begin with the prefix, by the rest of their names."""
    return {name.removeprefix(prefix): values for name, values in arrays.items() if name.startswith(prefix)}


def check_finite(path: Name, arrays: Mapping[str, Array]) -> None:
    """Raise `BadFile` where some array of a file is not one of finite real numbers."""
    for name, values in arrays.items():
        if values.dtype.kind not in "fiu" or not np.isfinite(values).all():
            raise BadFile(f"{path} is damaged: {name} holds numbers that are not finite")


def _check_kind(path: Name, found: object, kind: str) -> None:
    if found == kind:
        return
    if isinstance(found, str) and found.rpartition(" ")[0] == kind.rpartition(" ")[0]:
        raise BadFile(f"{path} has format {found!r}, and this version of pmasolve reads {kind!r}: make the file again")
    raise BadFile(f"{path} has format {shown(found)}, not {kind!r}: it is not a file of pmasolve, or of another kind")
