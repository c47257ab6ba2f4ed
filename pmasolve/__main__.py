"""python -m pmasolve, and the command `pmasolve`: the command line, or what to install for it."""

import sys

try:
    from .cli.app import app
except ModuleNotFoundError as error:
    sys.exit(f"Error: {error}")

if __name__ == "__main__":
    app(prog_name="pmasolve")
