"""All commands."""

from __future__ import annotations

import typer

from .compare import compare
from .evolve import evolve
from .study import study
from .transport import transport

app = typer.Typer(
    name="pmasolve",
    help="Sinkhorn, the parabolic Monge–Ampère equation, optimal transport, and the distances between them.",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help: brackets mean tables of the file
    add_completion=False,
)
for command in (evolve, compare, study, transport):
    app.command()(command)
