"""A claim that takes for ever, for a test that interrupts it."""

from __future__ import annotations

import time
from collections.abc import Iterator

from validation.claims import Check, Level

from .shared import CHECKS, made_up

CLAIM = made_up("waits")


def study(level: Level) -> Iterator[Check]:
    """Not yet."""
    time.sleep(600)
    yield from CHECKS
