"""pmasolve validate: the claims of the theory.

An installation has them as ``pmasolve.validation``, a checkout in the folder ``validation`` beside the package.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

BESIDE = Path(__file__).parent.parent.parent


def command() -> ModuleType:
    """The module of the command line of the claims, wherever they are."""
    package = __package__.split(".", 1)[0]
    if find_spec(f"{package}.validation"):
        return import_module(f"{package}.validation.__main__")
    sys.path.insert(0, str(BESIDE))  # and not at its end: the folder of the user may have that name too
    return import_module("validation.__main__")


validate_command = command().main
