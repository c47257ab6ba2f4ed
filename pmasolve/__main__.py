"""python -m pmasolve, and the command `pmasolve`: the command line, or what to install for it."""

import sys

try:
    from .cli.app import app
except ModuleNotFoundError as error:
    sys.exit(f"Error: {error}")
except KeyboardInterrupt:
    print("Error: interrupted before anything was begun", file=sys.stderr)
    sys.exit(130)

if __name__ == "__main__":
    app(prog_name="pmasolve")
