"""All claims, and how one is run."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence

from . import (
    berman,
    carried,
    chain,
    corrector,
    denoising,
    denoising_chains,
    denoising_dimensions,
    denoising_examples,
    differences,
    duality,
    euclidean,
    evi,
    evi_steps,
    examples,
    gap,
    gaussians,
    gradient_limit,
    half_steps,
    identities,
    inexact_jko,
    jko_chain,
    leger,
    linearised_distance,
    log_sobolev,
    marginals,
    mckean_vlasov,
    metric,
    mixed_jko,
    objective_flows,
    objectives,
    one_step,
    principles,
    proximal,
    reference,
    regularity,
    relatives,
    sample_choice,
    sample_errors,
    samplers,
    schedule_bounds,
    schedules,
    self_gauge,
    static,
    step_corrector,
    symmetric,
    three_ways,
    value,
    work,
)
from .claims import ClaimModule, Level, Result, Row

CLAIMS: tuple[ClaimModule, ...] = (
    one_step,
    berman,
    corrector,
    gradient_limit,
    symmetric,
    regularity,
    self_gauge,
    sample_choice,
    sample_errors,
    half_steps,
    marginals,
    linearised_distance,
    principles,
    leger,
    gap,
    log_sobolev,
    evi,
    evi_steps,
    metric,
    value,
    static,
    three_ways,
    duality,
    gaussians,
    reference,
    examples,
    schedules,
    schedule_bounds,
    samplers,
    jko_chain,
    proximal,
    work,
    mckean_vlasov,
    carried,
    relatives,
    objectives,
    step_corrector,
    objective_flows,
    euclidean,
    chain,
    inexact_jko,
    mixed_jko,
    denoising,
    denoising_examples,
    denoising_chains,
    denoising_dimensions,
    differences,
    identities,
)

LONG = (
    "mckean-vlasov",
    "particles",
    "differences",
    "berman",
    "principles",
)  # started first where it is not known how long they take


def chosen(names: Sequence[str], claims: Sequence[ClaimModule] | None = None) -> tuple[ClaimModule, ...]:
    """The claims of these names in the suite's order, all of them if none is named.

    Raises
    ------
    ValueError : a name that no claim has, with the names there are.
    """
    claims = CLAIMS if claims is None else claims
    known = [module.CLAIM.name for module in claims]
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"no claim is called {', '.join(unknown)}; the claims are {', '.join(known)}")
    return tuple(module for module in claims if not names or module.CLAIM.name in names)


def run(module: ClaimModule, level: Level, note: Callable[[Row], None]) -> Result:
    """Run one claim, telling ``note`` of every check; a crash ends the claim, not the suite."""
    rows: list[Row] = []
    began = time.perf_counter()
    try:
        for check in module.study(level):
            rows.append(Row(check, time.perf_counter() - began))
            note(rows[-1])
            began = time.perf_counter()
    except Exception:  # whatever went wrong is the result, and the other claims still run
        return Result(module.CLAIM, tuple(rows), traceback.format_exc())
    return Result(module.CLAIM, tuple(rows))
