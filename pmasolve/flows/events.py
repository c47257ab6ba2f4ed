"""Conditions on what a step records, which end a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..machine.arrays import number
from ..problems.outcomes import Outcome


@dataclass(frozen=True)
class Event:
    """Ends a run, well, after the first step whose record has ``quantity`` below ``below`` or above ``above``.

    Raises
    ------
    ValueError : bounds that are no numbers, NaN among them, which nothing would ever meet.

    Examples
    --------
    >>> steady = Event("speed", below=1e-8)  # sup |∂ₜu − mean| of MongeAmpere
    >>> steady.happened({"speed": 1e-9})
    True
    """

    quantity: str
    below: float = -np.inf
    above: float = np.inf

    def __post_init__(self) -> None:
        for name in ("below", "above"):
            bound = getattr(self, name)
            if np.isnan(number(bound, name)):
                raise ValueError(f"{name}={bound}: no record is ever {name} it; give a number")

    def happened(self, record: Mapping[str, float]) -> bool:
        """Whether the record of a step meets the condition; a quantity the flow does not record is a ``ValueError``."""
        if self.quantity not in record:
            raise ValueError(f"event on {self.quantity!r}: this flow records {', '.join(record)}")
        return record[self.quantity] < self.below or record[self.quantity] > self.above

    @property
    def outcome(self) -> Outcome:
        """The outcome of a trajectory that this event ended."""
        bound = f"below {self.below:g}" if np.isfinite(self.below) else f"above {self.above:g}"
        return Outcome(f"event: {self.quantity} {bound}", True)
