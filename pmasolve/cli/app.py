"""All commands, each imported when it is asked for: `pmasolve validate` must set the threads before anything uses numpy."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any

from ..machine.extras import extra
from ..machine.provenance import package_version

with extra("cli"):
    import typer
    from typer.core import TyperGroup
    from typer.main import get_command

COMMANDS = (
    "evolve",
    "compare",
    "study",
    "transport",
    "pairwise",
    "clouds",
    "denoising",
    "sample",
    "validate",
    "warmup",
)


class Commands(TyperGroup):
    """The commands of the shell by name: each is the function NAME_command in the file NAME beside this one."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of the commands, in the order of the help text."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import one; None where there is none of the name."""
        if cmd_name not in COMMANDS:
            return None
        alone = typer.Typer(add_completion=False, rich_markup_mode=None)
        try:
            with extra("cli"):
                alone.command(cmd_name)(getattr(import_module(f".{cmd_name}", __package__), f"{cmd_name}_command"))
        except KeyboardInterrupt:  # the imports take a second
            typer.echo("Error: interrupted before anything was begun", err=True)
            raise typer.Exit(130) from None
        return get_command(alone)


app = typer.Typer(
    name="pmasolve",
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help: brackets mean tables of the file
    add_completion=True,  # typer's own: --install-completion, --show-completion
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pmasolve {package_version()}")
        raise typer.Exit


@app.callback()
def pmasolve(
    version: Annotated[
        bool, typer.Option("--version", help="print the version", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Sinkhorn, the parabolic Monge–Ampère equation, optimal transport, and the distances between them."""
