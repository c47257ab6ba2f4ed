"""What all commands share: options, one way to print, one way to end."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from ..flows.trajectories import Stopped
from ..machine.archives import atomic_write
from ..problems.outcomes import INTERRUPTED, Outcome

# Exit codes: a wrong input, a run that did not get there, Ctrl-C
EXIT_REFUSED, EXIT_UNDONE, EXIT_BROKEN_OFF = 2, 1, 130

ConfigFile = Annotated[Path, typer.Argument(help="a TOML file, see docs/validation.md", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="print one JSON object, for programs")]
FigureFile = Annotated[Path | None, typer.Option(help="the file for a figure (.png, .svg or .pdf)")]
ArrayName = Annotated[str | None, typer.Option(help="which array of files that hold several")]
Frame = Annotated[int | None, typer.Option(help="which page, from 0, of files that hold several")]
Lengths = Annotated[str | None, typer.Option(help="of the sides, 2,1; else by the files' spacing")]
Clip = Annotated[float, typer.Option(help="negative values this small become 0, in the same units", min=0.0)]
Periodic = Annotated[bool, typer.Option("--periodic", help="on a torus; otherwise in a box")]
RecordFile = Annotated[Path | None, typer.Option(help="a file for the JSON object that --json prints")]


@contextmanager
def door(interrupted: str = "interrupted: nothing was written, run it again") -> Iterator[None]:
    """Turn the errors of callers and of runs into a line on stderr and an exit code; ``interrupted`` is said after Ctrl-C."""
    try:
        yield
    except Stopped as stopped:
        undone(stopped.trajectory.outcome, str(stopped))
    except KeyboardInterrupt:
        fail(interrupted, EXIT_BROKEN_OFF)
    except OSError as error:
        fail(_system_words(error), EXIT_REFUSED)
    except MemoryError as error:
        fail(f"the arrays do not fit into memory ({error}): take fewer points", EXIT_REFUSED)
    except (ValueError, ModuleNotFoundError) as error:
        fail(str(error), EXIT_REFUSED)


def _system_words(error: OSError) -> str:
    """What the system says, with the file and without its number."""
    if error.strerror is None:
        return str(error)
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror


def undone(outcome: Outcome, words: str = "") -> None:
    """End a run whose outcome is not ok, with the exit code of its kind."""
    fail(words or str(outcome), EXIT_BROKEN_OFF if outcome == INTERRUPTED else EXIT_UNDONE)


def fail(words: str, code: int) -> None:
    """Print why a command failed on the error stream, and end the process with this exit code."""
    typer.echo(f"Error: {words}", err=True)
    raise typer.Exit(code)


def say(words: str, record: Mapping[str, Any], as_json: bool, out: Path | None = None) -> None:
    """Print the words, or the record in their place, which ``out`` gets in any case; what is not finite becomes null."""
    text = json.dumps(_plain_record(record), ensure_ascii=False, allow_nan=False)
    if out is not None:
        with atomic_write(out) as stream:
            stream.write(f"{text}\n".encode())
    typer.echo(text if as_json else words)


def _plain_record(value: Any) -> Any:
    match value:
        case Mapping():
            return {key: _plain_record(item) for key, item in value.items()}
        case np.ndarray() | list() | tuple():
            return [_plain_record(item) for item in value]
        case float():
            return float(value) if np.isfinite(value) else None
        case Path():
            return str(value)
        case _:
            return value
