"""Which library ``device=`` belongs to: torch by `array_api_compat` (extra ``gpu``), or JAX.

A library is imported when a device of its own is asked for, since it is heavy or an extra.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...machine.arrays import shown
from ...machine.extras import extra
from .libraries import ArrayLibrary, OneDevice
from .sharded import sharded_over


def library_of(device: Any) -> ArrayLibrary:
    """The library that a device belongs to.

    Parameters
    ----------
    device : "cuda", "cuda:1", "cpu" or whatever else torch calls one, or a ``torch.device``; a device of JAX, or one of its meshes
        of one axis; or a `ArrayLibrary`.

    Raises
    ------
    ValueError : neither, or no such device here.
    ModuleNotFoundError : torch or array_api_compat is not installed.

    Examples
    --------
    >>> library_of(OneDevice()).name
    'numpy'
    """
    if hasattr(device, "to_columns"):
        return device
    owner = type(device).__module__.partition(".")[0]
    makers: dict[str, Callable[[Any], ArrayLibrary]] = {
        "builtins": _torch,
        "torch": _torch,
        "jax": _jax,
        "jaxlib": _jax,
    }
    if owner not in makers or (owner == "builtins" and not isinstance(device, str)):
        raise ValueError(f"device={shown(device)}: give a device of torch, as 'cuda', or a device or a mesh of JAX")
    return makers[owner](device)


def _torch(device: Any) -> ArrayLibrary:
    with extra("gpu"):
        from array_api_compat import torch
    try:
        torch.empty(1, dtype=torch.float64, device=device)
    except (AssertionError, RuntimeError, TypeError) as error:
        why = str(error).splitlines()[0]
        raise ValueError(
            f"device={shown(str(device))}: torch has no such device here, or none with float64 ({why}); "
            "leave device= out to compute on the processor"
        ) from None
    return OneDevice(torch, f"torch on {device}", {"device": device})


def _jax(device: Any) -> ArrayLibrary:
    import jax

    return sharded_over(jax, device)
