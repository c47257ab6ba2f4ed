"""Sinkhorn, the parabolic Monge–Ampère equation, and the limit theorems between them."""

from .domains import Box as Box
from .domains import Cloud as Cloud
from .domains import Torus as Torus
from .monge_ampere import MongeAmpere as MongeAmpere
from .operators import FiniteDifference as FiniteDifference
from .operators import Fourier as Fourier
from .problems import Problem as Problem
from .trajectories import Outcome as Outcome
from .trajectories import Stopped as Stopped
from .trajectories import Trajectory as Trajectory
from .trajectories import evolve as evolve
