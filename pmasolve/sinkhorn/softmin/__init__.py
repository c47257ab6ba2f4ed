"""Engines of the log-sums, and which one serves which nodes.  Come here to ask how a half-iteration is computed."""

from .blockwise import Blockwise as Blockwise
from .default import default_engine as default_engine
from .dense import Dense as Dense
from .keops import KeOps as KeOps
from .separable import Separable as Separable
