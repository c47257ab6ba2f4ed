# The public names: type checkers read them here, and Python finds here where a name lives (`__getattr__` in __init__.py
# imports it when it is first used).  A new public name is one line here, and its place on the map in __init__.py.

# problems: what is given
from .problems.densities import Spline as Spline
from .problems.grids import Box as Box
from .problems.grids import Cloud as Cloud
from .problems.grids import Torus as Torus
from .problems.images import read_array as read_array
from .problems.objectives import AlphaDivergence as AlphaDivergence
from .problems.objectives import CHI_SQUARED as CHI_SQUARED
from .problems.objectives import Entropy as Entropy
from .problems.objectives import HELLINGER as HELLINGER
from .problems.objectives import JensenShannon as JensenShannon
from .problems.objectives import KL as KL
from .problems.objectives import Objective as Objective
from .problems.objectives import REVERSE_KL as REVERSE_KL
from .problems.objectives import Relaxed as Relaxed
from .problems.outcomes import Outcome as Outcome
from .problems.problem import Problem as Problem

# calculus: derivatives on a grid
from .calculus.differences import FiniteDifference as FiniteDifference
from .calculus.manufactured import manufactured as manufactured
from .calculus.operators import Fourier as Fourier

# gaussian: closed forms
from . import gaussian as gaussian

# maps: the steady state
from .maps.distances import Distances as Distances
from .maps.distances import distances as distances
from .maps.distances import pairwise as pairwise
from .maps.embedding import embedding as embedding
from .maps.exact import Simplex as Simplex
from .maps.files import load_map as load_map
from .maps.files import save_map as save_map
from .maps.newton import NewtonKrylov as NewtonKrylov
from .maps.semidual import SemiDual as SemiDual
from .maps.transported import Transport as Transport
from .maps.transport import transport as transport

# flows: the protocol, the loop, the PDE and the flows that it is compared with
from .flows import euclidean as euclidean
from .flows import mirror as mirror
from .flows import particles as particles
from .flows.files import load as load
from .flows.files import save as save
from .flows.fokker_planck import FokkerPlanck as FokkerPlanck
from .flows.jko import JKO as JKO
from .flows.langevin import mirror_langevin as mirror_langevin
from .flows.linearised import LinearisedMongeAmpere as LinearisedMongeAmpere
from .flows.loop import evolve as evolve
from .flows.loop import resume as resume
from .flows.mirror_descent import MirrorDescent as MirrorDescent
from .flows.monge_ampere import MongeAmpere as MongeAmpere
from .flows.trackers import SaveEvery as SaveEvery
from .flows.trackers import Step as Step
from .flows.trackers import StopWhen as StopWhen
from .flows.proximal import BregmanProximal as BregmanProximal
from .flows.schedules import ConstantSteps as ConstantSteps
from .flows.schedules import GrowingSteps as GrowingSteps
from .flows.schedules import HarmonicSteps as HarmonicSteps
from .flows.schedules import logarithmic_steps as logarithmic_steps
from .flows.schedules import square_root_steps as square_root_steps
from .flows.events import Event as Event
from .flows.trajectories import Stopped as Stopped
from .flows.trajectories import Trajectory as Trajectory

# sinkhorn: the iteration, its fixed point, its plans
from .sinkhorn import conventions as conventions
from .sinkhorn.brenier import Brenier as Brenier
from .sinkhorn.brenier import brenier as brenier
from .sinkhorn.continuous import SinkhornFlow as SinkhornFlow
from .sinkhorn.divergence import SinkhornDivergence as SinkhornDivergence
from .sinkhorn.divergence import sinkhorn_divergence as sinkhorn_divergence
from .sinkhorn.fixed_points import SinkhornNewton as SinkhornNewton
from .sinkhorn.gauges import FORWARD as FORWARD
from .sinkhorn.gauges import Gauge as Gauge
from .sinkhorn.gauges import PLAIN as PLAIN
from .sinkhorn.gauges import SELF as SELF
from .sinkhorn.gauges import SYMMETRIC as SYMMETRIC
from .sinkhorn.gauges import as_function as as_function
from .sinkhorn.iteration import Sinkhorn as Sinkhorn
from .sinkhorn.plans import Plan as Plan
from .sinkhorn.potentials import Potential as Potential
from .sinkhorn.richardson import Richardson as Richardson
from .sinkhorn.richardson import corrected as corrected
from .sinkhorn.schroedinger import Schroedinger as Schroedinger
from .sinkhorn.schroedinger import schroedinger as schroedinger
from .sinkhorn.second_solver import cross_check as cross_check
from .sinkhorn.self_potential import Debiased as Debiased
from .sinkhorn.self_potential import SelfPotential as SelfPotential
from .sinkhorn.self_potential import self_potential as self_potential
from .sinkhorn.softmin import Blockwise as Blockwise
from .sinkhorn.softmin import Dense as Dense
from .sinkhorn.softmin import KeOps as KeOps
from .sinkhorn.softmin import Separable as Separable

# samples: what is learned from data
from .samples import denoising as denoising
from .samples.affine import AFFINE as AFFINE
from .samples.affine import Affine as Affine
from .samples.choosing import EpsChoice as EpsChoice
from .samples.choosing import choose_eps as choose_eps
from .samples.coupling import OptimalCoupling as OptimalCoupling
from .samples.coupling import optimal_coupling as optimal_coupling
from .samples.wasserstein import W2Estimate as W2Estimate
from .samples.wasserstein import estimate_w2 as estimate_w2
from .samples.interacting import InteractingParticles as InteractingParticles

from .samples.jko.blocks import ConvexBlocks as ConvexBlocks
from .samples.jko.chain import ChainSampler as ChainSampler
from .samples.jko.chain import as_chain as as_chain
from .samples.jko.chain import load_chain as load_chain
from .samples.jko.flow import JKOSampler as JKOSampler
from .samples.jko.guarantees import Guarantees as Guarantees
from .samples.jko.guarantees import guarantees as guarantees
from .samples.jko.mixed import Diffused as Diffused
from .samples.jko.mixed import mixed_guarantees as mixed_guarantees
from .samples.samplers.choosing import FamilyChoice as FamilyChoice
from .samples.samplers.choosing import choose_family as choose_family
from .samples.samplers.estimators import Known as Known
from .samples.samplers.estimators import Logistic as Logistic
from .samples.samplers.estimators import ScoreMatching as ScoreMatching
from .samples.samplers.explicit import MongeAmpereSampler as MongeAmpereSampler
from .samples.samplers.implicit import ImplicitSampler as ImplicitSampler
from .samples.samplers.log_sums import LogSumExp as LogSumExp
from .samples.samplers.posteriors import Posterior as Posterior
from .samples.samplers.problems import SampleProblem as SampleProblem
from .samples.samplers.sampler import Sampler as Sampler
from .samples.samplers.sampler import as_sampler as as_sampler
from .samples.samplers.sampler import load_sampler as load_sampler
from .samples.samplers.span import Span as Span

# studies: errors, orders, verdicts and their reports
from .studies.convergence import Band as Band
from .studies.convergence import Comparison as Comparison
from .studies.convergence import Study as Study
from .studies.convergence import compare as compare
from .studies.curves import plot_orders as plot_orders
from .studies.figures import save_figure as save_figure
from .studies.films import save_film as save_film
from .studies.runs import plot_trajectory as plot_trajectory
from .studies.scaling import Scaling as Scaling
from .studies.scaling import scaling_study as scaling_study
from .studies.scaling_runs import ScalingMethod as ScalingMethod
from .studies.tables import latex_table as latex_table
from .studies.trackers import PlotEvery as PlotEvery
from .studies.transports import plot_transport as plot_transport

__version__: str
__all__: list[str]
