"""Where numbers come from: versions, machine, and the revision of this package's files."""

from __future__ import annotations

import hashlib
import platform
import subprocess
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from .arrays import Array

PACKAGES = ("numpy", "scipy", "numba", "scikit-sundae", "matplotlib", "ducc0")


def versions() -> dict[str, str]:
    """Of Python and of the packages that results may depend on.

    Examples
    --------
    >>> "numpy" in versions()
    True
    """
    others = {name: _version(name) for name in PACKAGES}
    return {"python": platform.python_version(), "pmasolve": package_version(), **others}


def package_version(folder: Path = Path(__file__).parent.parent.parent) -> str:
    """Of this package: of the sources in ``folder`` if these files are they, installed or not, else of the installation.

    Examples
    --------
    >>> package_version().split(".")[0].isdigit()
    True
    """
    try:
        project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        if project["name"] == "pmasolve":
            return project["version"]
    except (OSError, ValueError, KeyError):
        pass
    return _version("pmasolve")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def digest(values: Array | bytes) -> str:
    """SHA-256 of the bytes of a file, or of float64 values in C order and little-endian: what was computed with, in 64 letters.

    Examples
    --------
    >>> digest(np.zeros(2))[:8], digest(bytes(16))[:8]
    ('374708ff', '374708ff')
    """
    raw = values if isinstance(values, bytes) else np.ascontiguousarray(values, dtype="<f8").tobytes()
    return hashlib.sha256(raw).hexdigest()


def machine() -> str:
    """Operating system and processor of this computer, in words."""
    return f"{platform.system()} {platform.machine()}"


def revision() -> str | None:
    """The git revision that these files belong to, with a + if any were changed since; None outside a repository."""
    here = Path(__file__).resolve().parent
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+"],
            cwd=here, capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
        tracked = subprocess.run(
            ["git", "ls-files", "--error-unmatch", __file__], cwd=here, capture_output=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip() if tracked.returncode == 0 else None  # installed inside somebody else's repository
