"""Sinkhorn, the parabolic Monge–Ampère equation, and the limit theorems between them."""

from .convergence import Band as Band
from .convergence import Comparison as Comparison
from .convergence import Study as Study
from .convergence import compare as compare
from .corrector import Richardson as Richardson
from .densities import Spline as Spline
from .domains import Box as Box
from .domains import Cloud as Cloud
from .domains import Torus as Torus
from .linearised import LinearisedMongeAmpere as LinearisedMongeAmpere
from .monge_ampere import MongeAmpere as MongeAmpere
from .operators import FiniteDifference as FiniteDifference
from .operators import Fourier as Fourier
from .problems import Problem as Problem
from .problems import manufactured as manufactured
from .sinkhorn import FORWARD as FORWARD
from .sinkhorn import PLAIN as PLAIN
from .sinkhorn import SYMMETRIC as SYMMETRIC
from .sinkhorn import Gauge as Gauge
from .sinkhorn import Sinkhorn as Sinkhorn
from .trajectories import Event as Event
from .trajectories import Outcome as Outcome
from .trajectories import Stopped as Stopped
from .trajectories import Trajectory as Trajectory
from .trajectories import evolve as evolve
from .trajectories import resume as resume
