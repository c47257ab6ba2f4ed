#!/usr/bin/env bash
# geomloss 0.3.1: `from geomloss import *` raises AttributeError, since __all__ of the package is one string that holds
# both names with a comma, "SamplesLoss, ImagesBarycenter".  `from geomloss import SamplesLoss` works.
# Seen with torch 2.13 (CPU), Python 3.11.
set -euo pipefail
here=$(mktemp -d); trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install -q --disable-pip-version-check "torch==2.13.0" "geomloss==0.3.1" "numpy>=2,<3" scipy
"$here/venv/bin/python" -W ignore - <<'PY'
from geomloss import SamplesLoss

assert callable(SamplesLoss)
try:
    exec("from geomloss import *", {})
except AttributeError as error:
    print("AttributeError:", error)
else:
    raise SystemExit("the star import works now: this finding is out of date")
PY
