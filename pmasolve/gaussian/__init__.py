"""Closed forms for normal distributions of any covariances and means: PMA, Sinkhorn, Fokker–Planck, JKO, and distances.

Come here to ask what the answer is where it is known.
"""

from .closed_form import ClosedForm as ClosedForm
from .closed_form import corrector as corrector
from .descent import Descent as Descent
from .descent import mirror_descent as mirror_descent
from .gradient_flows import entropy_mirror_flow as entropy_mirror_flow
from .gradient_flows import fokker_planck as fokker_planck
from .gradient_flows import fokker_planck_map as fokker_planck_map
from .gradient_flows import heat as heat
from .gradient_flows import jko as jko
from .normal import Normal as Normal
from .pair import Pair as Pair
from .proximal import bregman_proximal as bregman_proximal
from .quadratic import Quadratic as Quadratic
from .quadratic import negative_log as negative_log
