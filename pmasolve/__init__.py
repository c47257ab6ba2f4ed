"""Sinkhorn, the parabolic Monge–Ampère equation, and the limit theorems between them.

What to call, by question; `help(pmasolve.transport)` and so on have the whole story.

What is given
    Torus, Box, Cloud           the domain: periodic, with walls, or points with masses
    Problem                     source and target density on it; Problem.from_densities, from_samples, manufactured
    Spline, read_array          densities from samples; from images and files
    KL, AlphaDivergence         what a flow makes fall: CHI_SQUARED, HELLINGER, REVERSE_KL, JensenShannon, Entropy, any Objective;
                                Relaxed: on another clock

What is the optimal map, and what does it cost?
    transport → Transport       the map, W₂² and a certified interval; NewtonKrylov, SemiDual, Simplex are its methods
    distances, pairwise         of stacks of densities → Distances; embedding: linearised transport
    save_map, load_map          maps as files

How does a density flow to another?
    evolve, resume → Trajectory run any flow to given times; Event, Stopped, Outcome: how runs end; save, load
    on_step=                    told of every Step: SaveEvery, PlotEvery, StopWhen, or a function of your own
    MongeAmpere                 the parabolic Monge–Ampère equation; LinearisedMongeAmpere: its first-order corrector
    SinkhornFlow                Sinkhorn in continuous time
    Sinkhorn                    exact iterates, with a Gauge: PLAIN, SYMMETRIC, SELF, FORWARD; corrected, Richardson: higher orders
    as_function → Debiased      the map out of sample, in the self gauge (self_potential → SelfPotential) or the plain one
    MirrorDescent               explicit steps of any sizes: ConstantSteps, HarmonicSteps, square_root_steps, logarithmic_steps
    BregmanProximal             implicit steps of any length; GrowingSteps: a road to the Brenier map
    FokkerPlanck, JKO           the gradient flows that the theory compares with
    mirror, particles           the mirror flow by itself; the McKean–Vlasov diffusion; euclidean: mirror flows in ℝᵈ
    InteractingParticles        the mirror flow from samples; mirror_langevin: the diffusion with a fixed mirror
    Fourier, FiniteDifference   derivatives in space

What is entropic transport at one ε?
    schroedinger → Schroedinger the fixed point, by SinkhornNewton; brenier → Brenier: extrapolated to ε = 0
    Plan, Potential             marginals, rows and costs of a coupling; φ, ∇φ, D²φ anywhere
    Separable, Blockwise, Dense, KeOps   engines for the log-sums
    conventions                 numbers as other libraries define them

At which noise is a law hard to learn?
    choose_eps → EpsChoice      ε and gauge from the samples themselves, with a third gauge, AFFINE (Affine)
    denoising                   the multi-scale complexity of samples, mixtures, densities; chains and noise schedules

How far apart are samples?
    optimal_coupling → OptimalCoupling   exact W₂ between weighted points, with bounds, and a sparse optimal coupling
    estimate_w2 → W2Estimate    W₂ between the laws that samples come from, with a confidence interval
    sinkhorn_divergence → SinkhornDivergence   debiased entropic cost, its potentials and gradients

How do I sample a law that I have samples of, or the density of?
    SampleProblem, Posterior    samples; a density known up to its constant
    MongeAmpereSampler          the papers' explicit descent, by Logistic, ScoreMatching or Known log-ratios, in a Span
    ImplicitSampler             Gauss–Newton on the likelihood, in LogSumExp potentials: what gives good samples
    choose_family → FamilyChoice   how many anchors samples bear, by points that are not fitted
    as_sampler → Sampler        sample, map, inverse, log_density, evidence; load_sampler
    JKOSampler                  minimising movements of data to a normal law, in ConvexBlocks or networks (samples.neural)
    as_chain → ChainSampler     what it found; load_chain; guarantees: bounds (Guarantees) beside what was measured
    mixed_guarantees            the same for data without a density (Diffused) and inverses with errors

How far apart are they, and of which order?
    compare → Comparison        errors between two runs; cross_check: by a solver that shares nothing but the grid
    Study, Band                 observed orders and verdicts
    scaling_study → Scaling     orders of Sinkhorn on your own densities, by ScalingMethod, with a report
    plot_orders, plot_trajectory, plot_transport, save_figure, save_film, latex_table   for papers

How does it run on more than one machine?
    distributed                 distributed.slabs(torus): the same calls in a script under mpirun (extra mpi)

What is the answer where it is known?
    gaussian                    closed forms between normal distributions
    manufactured                problems with a chosen solution

Every name is imported when it is first used.  ``__version__`` is the version.
"""

import ast
from importlib import import_module
from pathlib import Path

_ROOMS = (
    "machine",
    "problems",
    "calculus",
    "gaussian",
    "maps",
    "flows",
    "sinkhorn",
    "distributed",
    "samples",
    "studies",
    "cli",
)

_STUB = ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
_HOMES = {
    alias.name: ".".join(filter(None, [__name__, node.module]))
    for node in _STUB.body
    if isinstance(node, ast.ImportFrom)
    for alias in node.names
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> object:
    """A public name, a room, or the version, when it is first asked for (PEP 562)."""
    if name == "__version__":
        value = import_module(".machine.provenance", __name__).package_version()
    elif name in _ROOMS:
        return import_module(f".{name}", __name__)
    elif name in _HOMES:
        home = import_module(_HOMES[name])
        value = vars(home)[name] if name in vars(home) else import_module(f"{_HOMES[name]}.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Public names, and what every module has."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__")), "__version__"})
