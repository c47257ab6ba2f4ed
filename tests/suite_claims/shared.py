"""What the made-up claims share."""

from __future__ import annotations

from pmasolve import Band, Study
from validation.claims import Check, Claim

GOOD, BAD = (Study.over("h", [0.2, 0.1, 0.05], lambda h, p=p: {"sup": h**p}) for p in (2, 1))
BAND = {"sup": Band(1.9, 2.1)}
CHECKS = (Check("case", GOOD, BAND), Check("case", BAD, BAND, "broken"))


def made_up(name: str) -> Claim:
    """A claim with all its words."""
    return Claim(name, f"The claim {name}", "a < b & c", "arXiv 0", "order 2", "0.1", "none", "one")
