"""Formulas in configuration files: arithmetic and a few functions, read by an own small interpreter; nothing else can be said."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

FUNCTIONS: Mapping[str, np.ufunc] = {
    name: getattr(np, name)
    for name in (
        "sin", "cos", "tan", "arcsin", "arccos", "arctan", "arctan2", "sinh", "cosh", "tanh",
        "exp", "log", "log1p", "expm1", "sqrt", "abs", "sign", "minimum", "maximum", "floor",
    )
}  # fmt: skip
CONSTANTS: Mapping[str, float] = {"pi": np.pi, "e": np.e}
FORMULA_OPERATORS: Mapping[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
COORDINATES = ("x", "y", "z")
LONGEST_FORMULA = 5000  # characters
DEEPEST = 200  # a sum of so many terms
HUGE = 1e300


@dataclass(frozen=True)
class Formula:
    """A function of x, y, z (as many as there are dimensions), vectorised.

    Raises
    ------
    ValueError : anything but numbers, coordinates, ``pi``, ``e``, + − * / **, parentheses and the functions in `FUNCTIONS`.

    Examples
    --------
    >>> Formula("0.3*cos(2*pi*x) + y**2")(np.array([0.0, 0.5]), 1.0)
    array([1.3, 0.7])
    >>> Formula("open(x)")
    Traceback (most recent call last):
    ...
    ValueError: 'open(x)': there is no function 'open'; ...
    """

    text: str

    def __post_init__(self) -> None:
        _check_node(self.tree, self.text)

    @property
    def tree(self) -> ast.expr:
        """The parsed expression."""
        if len(self.text) > LONGEST_FORMULA:
            raise ValueError(
                f"{self.text[:40]!r}…: longer than {LONGEST_FORMULA} characters; give arrays in a file instead"
            )
        try:
            return ast.parse(self.text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise ValueError(f"{self.text!r} is not a formula; write for example 0.3*cos(2*pi*x)") from None

    def __call__(self, *points: ArrayLike) -> Any:
        """Values at points, one array for each coordinate."""
        names = {**CONSTANTS, **dict(zip(COORDINATES, points, strict=False))}
        with np.errstate(all="ignore"):  # what is not finite is said by whoever needs it finite
            value = _value(self.tree, names, self.text)
        return value + 0.0 * np.asarray(points[0]) if points else value  # constants become arrays


def formula_value(text: str) -> float:
    """The value of a formula without coordinates.

    Examples
    --------
    >>> formula_value("1/256")
    0.00390625
    """
    return float(Formula(text)())


def _check_node(node: ast.AST, text: str, depth: int = 0) -> None:
    if depth > DEEPEST:
        raise ValueError(f"{text[:40]!r}…: nested more than {DEEPEST} deep; give arrays in a file instead")
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool) and abs(value) < HUGE:
            parts = []
        case ast.Name(id=name) if name in COORDINATES or name in CONSTANTS:
            parts = []
        case ast.Name(id=name):
            raise ValueError(f"{text!r}: there is no {name!r}; the names are {', '.join((*COORDINATES, *CONSTANTS))}")
        case ast.BinOp(left=left, op=op, right=right) if type(op) in FORMULA_OPERATORS:
            parts = [left, right]
        case ast.UnaryOp(op=op, operand=operand) if type(op) in FORMULA_OPERATORS:
            parts = [operand]
        case ast.Call(func=ast.Name(id=name), args=parts, keywords=[]):
            if name not in FUNCTIONS:
                raise ValueError(f"{text!r}: there is no function {name!r}; the functions are {', '.join(FUNCTIONS)}")
            if len(parts) != (count := FUNCTIONS[name].nin):
                raise ValueError(f"{text!r}: {name} takes {count} argument{'s' * (count > 1)}, not {len(parts)}")
        case _:
            said = "+ - * / **, numbers, x, y, z, pi, e and functions"
            raise ValueError(f"{text!r}: {ast.unparse(node)!r} cannot be said; there are {said}")
    for part in parts:
        _check_node(part, text, depth + 1)


def _value(node: ast.AST, names: Mapping[str, Any], text: str) -> Any:
    match node:
        case ast.Constant(value=value):
            return np.float64(value)
        case ast.Name(id=name):
            if name not in names:
                raise ValueError(f"{text!r}: {name!r} is a coordinate that this domain does not have")
            return names[name]
        case ast.BinOp(left=left, op=op, right=right):
            return FORMULA_OPERATORS[type(op)](_value(left, names, text), _value(right, names, text))
        case ast.UnaryOp(op=op, operand=operand):
            return FORMULA_OPERATORS[type(op)](_value(operand, names, text))
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return FUNCTIONS[name](*(_value(argument, names, text) for argument in arguments))
    raise AssertionError(node)
