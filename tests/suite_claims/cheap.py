"""A claim that holds."""

from __future__ import annotations

from collections.abc import Iterator

from validation.claims import Check, Level

from .shared import CHECKS, made_up

CLAIM = made_up("cheap")


def study(level: Level) -> Iterator[Check]:
    """As it should be."""
    yield from CHECKS
