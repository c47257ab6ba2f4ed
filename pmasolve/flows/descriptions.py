"""A flow as plain data, and the flow from its data: what a stored trajectory knows of the flow that made it.

A description names the type and its fields: numbers, words, lists, and descriptions of other dataclasses.  The names that a file
may say are the dataclasses among the public names of the package and those of `OTHERS`; nothing else is ever looked up, and only
when a file says it, since flows of later rooms are made here too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from fractions import Fraction
from hashlib import sha256
from importlib import import_module
from typing import Any

import numpy as np

from ..machine.archives import BadFile
from ..machine.arrays import Array, shown
from ..problems.densities import Function, Spline, from_density_samples, from_samples
from ..problems.grids import GRIDS, Grid
from ..problems.problem import Problem, assembled
from .trajectories import Flow

PACKAGE = __name__.split(".")[0]
OTHERS = {
    "Spectral": "problems.interpolation",
    "Halved": "flows.schedules",
    "AxisMethod": "sinkhorn.softmin.separable",
}
Description = dict[str, Any]

BETWEEN = 0.37  # of h: where densities are looked at between the nodes
POINTS_COMPARED = 4096  # at so many points


def described(value: Any) -> Any:
    """Numbers, words, lists and dataclasses as plain data; what is none of them by its name alone, and its arrays by a digest.

    Examples
    --------
    >>> described(Spline(3))
    {'type': 'Spline', 'fields': {'degree': 3}}
    """
    match value:
        case None | bool() | int() | float() | str() if type(value) in (type(None), bool, int, float, str):
            return value
        case np.generic():
            return described(value.item())
        case Enum():
            return {"enum": type(value).__name__, "name": value.name}
        case np.ndarray():
            return {"array": list(value.shape), "digest": sha256(np.ascontiguousarray(value).tobytes()).hexdigest()}
        case tuple() | list():
            return [described(item) for item in value]
        case _ if is_dataclass(value) and not isinstance(value, type):
            parts = {field.name: described(getattr(value, field.name)) for field in fields(value)}
            return {"type": type(value).__name__, "fields": parts}
    return {"opaque": getattr(value, "__qualname__", type(value).__name__)}


def parameters(flow: Flow) -> dict[str, Any]:
    """The flow's fields but for its problem, arrays as they are."""
    names = [field.name for field in fields(flow)] if is_dataclass(flow) else list(vars(flow))
    return {name: getattr(flow, name) for name in names if name != "problem"}


def flow_description(flow: Flow) -> Description:
    """Type, parameters and nodes of a flow; its arrays are those of `flow_arrays`."""
    problem = flow.problem
    settings = {name: _stored(value) for name, value in parameters(flow).items()}
    interpolations = [_interpolation(density) for density in (problem.source, problem.target)]
    nodes = {"domain": problem.domain.description, "codomain": problem.codomain.description}
    return {"type": type(flow).__name__, "fields": settings, "interpolations": interpolations, **nodes}


def flow_arrays(flow: Flow) -> dict[str, Array]:
    """Both densities on the nodes and between them, points of clouds, and the arrays among the parameters, by name."""
    problem = flow.problem
    out = {"f": -problem.mu.log_density, "g": -problem.nu.log_density}
    for name, nodes, density in (
        ("f", problem.domain, problem.source),
        ("g", problem.codomain, problem.target),
    ):
        if isinstance(nodes, Grid):
            out[f"{name} between the nodes"] = density.at(_between(nodes))
        else:
            out[f"points of {name}"] = nodes.points
    arrays = {name: value for name, value in parameters(flow).items() if isinstance(value, np.ndarray)}
    return out | {f"parameter:{name}": value for name, value in arrays.items()}


def differences(
    stored: tuple[Description, Mapping[str, Array]], given: tuple[Description, Mapping[str, Array]]
) -> Iterator[str]:
    """Each way in which two flows differ, by name and with both values."""
    (old, arrays), (new, now) = stored, given
    for name in ("domain", "codomain"):
        if old[name] != new[name]:
            yield f"{name}: the file has {_said(old[name])}, the flow {_said(new[name])}"
    for name in now.keys() | arrays.keys():
        if not _close(arrays.get(name), now.get(name)):
            yield f"{name.removeprefix('parameter:')} differs"
    for name in old["fields"].keys() | new["fields"].keys():
        a, b = old["fields"].get(name, "nothing"), new["fields"].get(name, "nothing")
        if a != b:
            yield f"{name}: the file has {_said(a)}, the flow {_said(b)}"


def made(description: Description, arrays: Mapping[str, Array]) -> Flow:
    """The flow of a description: its densities are the interpolants of their values on the nodes.

    Raises
    ------
    ValueError : a flow, or a part of it, that is not of the package.
    """
    problem = _problem(description, arrays)
    settings = {
        name: arrays[f"parameter:{name}"] if value == {"stored": True} else _made(value)
        for name, value in description["fields"].items()
    }
    return _class_named(description["type"])(problem=problem, **settings)


def _stored(value: Any) -> Any:
    return {"stored": True} if isinstance(value, np.ndarray) else described(value)


def _interpolation(density: Function) -> Description:
    """How its samples became this density; for a formula how they will."""
    return described(getattr(density.at, "interpolation", Spline()))


def _between(grid: Grid) -> Array:
    """Some points off the grid, (dim, n)."""
    flat = grid.points.reshape(grid.dim, -1)
    return flat[:, :: -(-flat.shape[1] // POINTS_COMPARED)] + BETWEEN * np.reshape(grid.spacing, (-1, 1))


def _close(a: Array | None, b: Array | None) -> bool:
    """To round-off, as another machine may have it."""
    if a is None or b is None or a.shape != b.shape:
        return False
    finite = np.abs(b[np.isfinite(b)])
    return np.allclose(a, b, rtol=1e-12, atol=1e-12 * max(1.0, float(finite.max(initial=0.0))))


def _problem(description: Description, arrays: Mapping[str, Array]) -> Problem:
    domain, f, g = description["domain"], arrays["f"], arrays["g"]
    if domain["type"] == "Cloud":
        period = domain["period"] and tuple(domain["period"])
        return Problem.from_samples(arrays["points of f"], arrays["points of g"], np.exp(-f), np.exp(-g), period)
    grid = GRIDS[domain["type"]](tuple(domain["shape"]), tuple(domain["lengths"]))
    parts = zip((f, g), "fg", description["interpolations"], strict=True)
    return assembled(grid, grid, *(_stored_density(grid, values, name, _made(how)) for values, name, how in parts))


def _stored_density(grid: Grid, values: Array, name: str, interpolation: Any) -> Function:
    if np.isposinf(values).any():
        return from_density_samples(grid, np.exp(-values), name, interpolation)
    return from_samples(grid, values, name, interpolation)


def _made(value: Any) -> Any:
    match value:
        case list():
            return tuple(_made(item) for item in value)
        case {"type": str(name), "fields": dict(parts)}:
            return _class_named(name)(**{key: _made(part) for key, part in parts.items()})
        case {"enum": str(name), "name": str(member)}:
            return _looked_up(name)[member]
        case dict():
            what = value.get("opaque", "an array")
            raise BadFile(
                f"the flow has a part that a file does not hold ({shown(what)}): load(path, flow) with the flow"
            )
    return value


def _class_named(name: str) -> Any:
    """A dataclass of the package."""
    found = _looked_up(name)
    if not (isinstance(found, type) and is_dataclass(found)):
        raise BadFile(f"{shown(name)} is not a flow or a part of one of the package: load(path, flow) with the flow")
    return found


def _looked_up(name: str) -> Any:
    home = import_module(f"{PACKAGE}.{OTHERS[name]}" if name in OTHERS else PACKAGE)
    return getattr(home, name, None)


def _said(value: Any) -> str:
    """A description in words: 1/512 for 0.001953125, plain for a gauge of that name."""
    match value:
        case float() if (n := Fraction(value).limit_denominator(2**40)) == value and n.numerator == 1 < n.denominator:
            return str(n)
        case {"type": str(name), "fields": dict(parts)}:
            inner = (f"{key}={_said(part)}" for key, part in parts.items())
            return str(parts["name"]) if "name" in parts else f"{name}({', '.join(inner)})"
        case {"type": str(name), **rest}:
            return f"{name}({', '.join(f'{key}={shown(part)}' for key, part in rest.items())})"
        case {"opaque": what} | {"enum": _, "name": what}:
            return str(what)
    return shown(value)
