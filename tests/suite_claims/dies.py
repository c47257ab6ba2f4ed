"""A claim whose process is killed, as by the system when memory runs out."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

from validation.claims import Check, Level

from .shared import CHECKS, made_up

CLAIM = made_up("dies")


def study(level: Level) -> Iterator[Check]:
    """Ends everything."""
    yield CHECKS[0]
    os.kill(os.getpid(), signal.SIGKILL)
