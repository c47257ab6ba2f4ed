"""Closed forms against the equations themselves at 50 digits, against quadrature, and against one another."""

from __future__ import annotations

from functools import cache

import mpmath
import numpy as np
import pytest

from pmasolve.gaussian import (
    ClosedForm,
    Normal,
    Pair,
    Quadratic,
    corrector,
    entropy_mirror_flow,
    fokker_planck,
    heat,
    jko,
    mirror_descent,
    negative_log,
)

MP = mpmath.mp.clone()
MP.dps = 50


def spd(rng: np.random.Generator, d: int, condition: float) -> np.ndarray:
    """A random symmetric matrix with eigenvalues from 1/condition to 1."""
    Q, _ = np.linalg.qr(rng.standard_normal((d, d)))
    A = Q * np.logspace(0, -np.log10(condition), d) @ Q.T
    return 0.5 * (A + A.T)


@cache
def example(d: int, condition: float, seed: int = 7) -> tuple[Pair, Quadratic]:
    """Two laws that do not commute and a start that commutes with neither."""
    rng = np.random.default_rng(seed)
    source = Normal(rng.standard_normal(d), 0.7 * spd(rng, d, condition))
    target = Normal(rng.standard_normal(d), 1.6 * spd(rng, d, condition))
    start = Quadratic(spd(rng, d, 10.0), rng.standard_normal(d), 0.3, rng.standard_normal(d))
    return Pair(source, target), start


def lift(array: np.ndarray) -> mpmath.matrix:
    """To 50 digits."""
    return MP.matrix(np.reshape(array, (len(array), -1)).tolist())


def drop(matrix: mpmath.matrix) -> np.ndarray:
    """Back."""
    return np.array(matrix.tolist(), dtype=float).reshape(matrix.rows, matrix.cols)


def relative(value: np.ndarray, exact: mpmath.matrix) -> float:
    """Distance over size, Frobenius."""
    reference = drop(exact).reshape(np.shape(value))
    return float(np.linalg.norm(value - reference) / np.linalg.norm(reference))


def hamiltonian(pair: Pair, start: Quadratic, t: float) -> tuple[mpmath.matrix, mpmath.matrix]:
    """A_t and q_t from the linear system Y' = Σ⁻¹G, G' = Θ⁻¹Y: A = YG⁻¹, q − b = G⁻ᵀ(q₀ − b)."""
    d, here = pair.source.dim, start.about(pair.source.mean)
    H = MP.zeros(2 * d)
    H[:d, d:], H[d:, :d] = MP.inverse(lift(pair.source.cov)), MP.inverse(lift(pair.target.cov))
    YG = MP.expm(H * t) * MP.matrix([*here.A.tolist(), *MP.eye(d).tolist()])
    back = MP.inverse(YG[d:, :])
    return YG[:d, :] * back, lift(pair.target.mean) + back.T * (MP.matrix(here.q) - lift(pair.target.mean))


def function(A: mpmath.matrix, f) -> mpmath.matrix:
    """f(A), symmetric A."""
    values, Q = MP.eigsy((A + A.T) / 2)
    return Q * MP.diag([f(v) for v in values]) * Q.T


def whitened(pair: Pair, start: Quadratic, t: float) -> tuple[mpmath.matrix, mpmath.matrix]:
    """The same in the coordinates in which Θ = 1, which stays within 50 digits for all t."""
    d, here = pair.source.dim, start.about(pair.source.mean)
    b, half = lift(pair.target.mean), function(lift(pair.target.cov), MP.sqrt)
    back = MP.inverse(half)
    Lambda = function(back * MP.inverse(lift(pair.source.cov)) * back, MP.sqrt)
    D, E = back * MP.matrix(here.A) * back - Lambda, function(Lambda, lambda x: MP.exp(-x * t))
    S = function(Lambda, lambda x: (1 - MP.exp(-2 * x * t)) / (2 * x))
    A = half * (Lambda + E * D * MP.inverse(MP.eye(d) + S * D) * E) * half
    return A, b + half * E * MP.inverse(MP.eye(d) + D * S) * back * (MP.matrix(here.q) - b)


@pytest.mark.parametrize("t", [0.0, 1e-3, 0.3])
def test_closed_form_solves_the_riccati_equation(t: float) -> None:
    pair, start = example(3, 10.0)
    A, q = hamiltonian(pair, start, t)
    flow = ClosedForm(pair, start)
    assert relative(flow.hessian(t), A) < 1e-15
    assert relative(flow.slope(t), q) < 1e-15


@pytest.mark.parametrize("t", [1e-9, 1e-2, 1e3])
@pytest.mark.parametrize(("d", "condition"), [(1, 1.0), (3, 10.0), (4, 1e8)])
def test_closed_form_for_all_times_and_conditions(d: int, condition: float, t: float) -> None:
    pair, start = example(d, condition)
    A, q = whitened(pair, start, t)
    flow = ClosedForm(pair, start)
    assert relative(flow.hessian(t), A) < 1e-14
    assert relative(flow.slope(t), q) < 1e-14
    V = MP.inverse(A) * lift(pair.target.cov) * MP.inverse(A)
    assert relative(flow.law(t).cov, V) < 1e-14


@pytest.mark.parametrize("t", [0.05, 1.0])
def test_constant_of_the_potential(t: float) -> None:
    pair, start = example(2, 10.0)
    flow, logs = ClosedForm(pair, start), pair.source.log_det - pair.target.log_det

    def rate(s: mpmath.mpf) -> mpmath.mpf:
        A, q = whitened(pair, start, s)
        shift = q - lift(pair.target.mean)
        return (logs + 2 * MP.log(MP.det(A)) - (shift.T * MP.inverse(lift(pair.target.cov)) * shift)[0]) / 2

    MP.dps = 20
    exact = MP.quad(rate, [0, t / 64, t / 8, t], maxdegree=4) + start.about(pair.source.mean).c
    MP.dps = 50
    assert abs(flow.potential(t).constant - float(exact)) < 1e-12
    assert flow.potential(t).hessian == pytest.approx(flow.hessian(t), rel=1e-15)


@pytest.mark.parametrize(("d", "condition"), [(1, 1.0), (3, 10.0), (3, 1e8)])
@pytest.mark.parametrize("eps", [1e-2, 0.5])
def test_iterates_by_recursion_and_in_closed_form(d: int, condition: float, eps: float) -> None:
    pair, start = example(d, condition)
    a, b = pair.iterate(start, eps, 5), ClosedForm(pair, start, eps).potential(5 * eps)
    assert np.linalg.norm(a.hessian - b.hessian) <= 1e-15 * np.linalg.norm(a.hessian)
    assert np.linalg.norm(a.slope - b.slope) <= 1e-15 * np.linalg.norm(a.slope)
    assert abs(a.constant - b.constant) <= 1e-14 * abs(a.constant)


def test_constant_after_many_iterations() -> None:
    """300 iterations: long panels are summed by Chebyshev interpolants."""
    pair, start = example(1, 1.0)
    a, b = pair.iterate(start, 0.002, 300), ClosedForm(pair, start, 0.002).potential(0.6)
    assert abs(a.constant - b.constant) < 1e-14
    pair, start = example(2, 20.0)
    a, b = pair.iterate(start, 0.001, 90), ClosedForm(pair, start, 0.001).potential(0.09)
    assert abs(a.constant - b.constant) < 1e-13 * abs(a.constant)


def test_half_step_by_quadrature() -> None:
    """With its constant: trapezoidal rule, d = 1."""
    pair, phi, eps, y = Pair(Normal([0.3], [[0.7]]), Normal([0.0], [[1.0]])), Quadratic([[1.4]], [0.2], 0.1), 0.2, 0.55
    x = np.linspace(-12, 12, 4001)
    integrand = np.exp((x * y - phi(x)) / eps + pair.source.log_density(x))
    assert pair.half_step(phi, eps)([y])[0] == pytest.approx(eps * np.log(integrand.sum() * (x[1] - x[0])), abs=1e-14)


@pytest.mark.parametrize("eps", [1e-3, 0.3])
def test_schroedinger_potential_is_fixed_and_attracts_at_the_contraction_factor(eps: float) -> None:
    pair, _ = example(3, 10.0)
    fixed = pair.schroedinger(eps)
    again = pair.iterate(fixed, eps)
    assert again.hessian == pytest.approx(fixed.hessian, rel=1e-14)
    assert again.slope == pytest.approx(fixed.slope, rel=1e-14)
    kappa = pair.contraction(eps)
    assert np.all((kappa > 0) & (kappa < 1) & (np.diff(kappa, append=1) > 0))
    count, start = 40, Quadratic(fixed.hessian, [1.0, 2.0, 3.0], 0, pair.source.mean)
    slopes = [ClosedForm(pair, start, eps).slope(k * eps) - pair.target.mean for k in (0, count)]
    step = np.linalg.eigvals(_mean_step(pair, eps))
    assert np.sort(step.real) == pytest.approx(kappa, rel=1e-11)
    assert slopes[1] == pytest.approx(np.linalg.matrix_power(_mean_step(pair, eps), count) @ slopes[0], rel=1e-9)


def _mean_step(pair: Pair, eps: float) -> np.ndarray:
    """q⁺ − b = A C (q − b) at the fixed point, float64."""
    A = pair.schroedinger(eps).hessian
    return A @ np.linalg.inv(A + eps * np.linalg.inv(pair.source.cov))


def test_corrector_gives_order_two() -> None:
    pair, start = example(3, 3.0)
    t, errors = 0.25, []
    first = negative_log(pair.source).plus(start, 0.2)  # any r₀
    r, limit = corrector(pair, start, first, t), ClosedForm(pair, start).potential(t)
    for eps in (1 / 256, 1 / 512):
        iterate = ClosedForm(pair, start.plus(first, eps), eps).potential(t)
        left = iterate.plus(limit, -1).plus(r, -eps)
        errors.append([np.abs(left.hessian).max(), np.abs(left.slope).max(), abs(left.constant)])
    orders = np.log2(np.divide(*errors))
    assert np.all(np.abs(orders - 2) < 0.05), orders


def test_corrector_of_the_gradient_limit() -> None:
    """R₀ = ½Σ⁻¹ − V₀⁻¹ stays so: R_t = ½Σ⁻¹ − V_t⁻¹."""
    pair, start = example(3, 3.0)
    f, flow = negative_log(pair.source), ClosedForm(pair, start)
    first = f.plus(f, -0.5).plus(negative_log(pair.law(start)), -1)
    for t in (0.1, 5.0):
        expected = f.plus(f, -0.5).plus(negative_log(flow.law(t)), -1)
        r = corrector(pair, start, first, t)
        assert np.allclose(r.hessian, expected.hessian, rtol=0, atol=1e-13)
        assert np.allclose(r.slope, expected.slope, rtol=0, atol=1e-13)


def test_fokker_planck_solves_its_equation() -> None:
    pair, _ = example(3, 10.0)
    rho, pi, h = pair.target, pair.source, 1e-3
    before, here, after = (fokker_planck(pi, rho, 0.2 + s) for s in (-h, 0, h))
    P = np.linalg.inv(pi.cov)
    rate = 2 * np.eye(3) - P @ here.cov - here.cov @ P
    assert (after.cov - before.cov) / (2 * h) == pytest.approx(rate, abs=1e-3 * np.abs(rate).max())
    assert (after.mean - before.mean) / (2 * h) == pytest.approx(-P @ (here.mean - pi.mean), rel=1e-3)


def test_jko_step_meets_the_optimality_condition_and_has_order_one() -> None:
    pair, _ = example(3, 10.0)
    pi, rho, h = pair.source, pair.target, 0.3
    one = jko(pi, rho, h)
    T = np.eye(3) + h * (np.linalg.inv(pi.cov) - np.linalg.inv(one.cov))  # ∇(KL' + ½|x|²) carries ρ₁ back to ρ₀
    assert T @ one.cov @ T == pytest.approx(rho.cov, rel=1e-11)
    assert one.mean + h * np.linalg.solve(pi.cov, one.mean - pi.mean) == pytest.approx(rho.mean, rel=1e-12)
    exact = fokker_planck(pi, rho, 0.25)
    errors = [jko(pi, rho, 0.25 / n, n).wasserstein(exact) for n in (16, 32)]
    assert 0.9 < np.log2(errors[0] / errors[1]) < 1.1


def test_distances_against_scalar_formulas_also_when_close() -> None:
    a, b = Normal([1.0], [[4.0]]), Normal([1.0], [[4.0 * (1 + 1e-7)]])
    delta = MP.sqrt(MP.mpf(4.0 * (1 + 1e-7))) - 2
    assert a.wasserstein(b) == pytest.approx(float(delta), rel=1e-12)
    ratio = MP.mpf(4) / MP.mpf(4.0 * (1 + 1e-7))
    assert a.kl(b) == pytest.approx(float((ratio - 1 - MP.log(ratio)) / 2), rel=1e-12)
    assert a.entropy == pytest.approx(0.5 * np.log(2 * np.pi * np.e * 4), rel=1e-15)


@pytest.mark.parametrize("condition", [10.0, 1e8])
def test_distances_without_commuting(condition: float) -> None:
    pair, _ = example(3, condition)
    a, b = pair.source, pair.target
    A, B, shift = lift(a.cov), lift(b.cov), lift(a.mean) - lift(b.mean)
    half = function(A, MP.sqrt)
    cross = MP.eigsy(half * B * half, eigvals_only=True)
    w2 = (shift.T * shift)[0] + sum(A[i, i] + B[i, i] for i in range(3)) - 2 * sum(MP.sqrt(v) for v in cross)
    assert a.wasserstein(b) == pytest.approx(float(MP.sqrt(w2)), rel=1e-14)
    P = MP.inverse(B)
    kl = sum((P * A)[i, i] for i in range(3)) - 3 + MP.log(MP.det(B) / MP.det(A)) + (shift.T * P * shift)[0]
    assert a.kl(b) == pytest.approx(float(kl / 2), rel=1e-14)
    phi = pair.brenier()
    assert phi.push(a).wasserstein(b) < 1e-14
    assert phi.hessian == pytest.approx(phi.hessian.T, rel=1e-15)


def test_bregman_falls_at_the_rate_of_jeffreys() -> None:
    """d/dt B_G(π | ρ_t) = −KL(ρ_t | π) − KL(π | ρ_t): arXiv 2307.16421, the continuous evolution variational inequality."""
    pair, start = example(3, 10.0)
    flow, t, h = ClosedForm(pair, start), 0.2, 1e-3
    B = [pair.bregman(pair.source, flow.potential(t + s * h)) for s in (-2, -1, 1, 2)]
    rate = (B[0] - 8 * B[1] + 8 * B[2] - B[3]) / (12 * h)
    assert rate == pytest.approx(-flow.law(t).jeffreys(pair.source), rel=1e-7)
    assert pair.bregman(pair.source, pair.brenier()) == pytest.approx(0, abs=1e-14)


def test_entropic_value_expands_without_odd_powers() -> None:
    """½W₂² − (dε/2) log 2πε + (ε/2)(entropies) + (ε²/8)∫FI leaves a remainder of order 4."""
    pair, _ = example(3, 10.0)
    a, b = pair.source, pair.target

    def rest(eps: float) -> float:
        known = 0.5 * a.wasserstein(b) ** 2 - 1.5 * eps * np.log(2 * np.pi * eps) + 0.5 * eps * (a.entropy + b.entropy)
        return pair.value(eps) - known - eps**2 / 8 * pair.fisher_information

    smallest = float(pair.scales[0])
    assert 3.9 < np.log2(rest(smallest / 16) / rest(smallest / 32)) < 4.1


def test_laws_and_their_potentials() -> None:
    pair, start = example(3, 10.0)
    law = pair.law(start)
    phi = pair.potential(law)
    assert phi.hessian == pytest.approx(start.hessian, rel=1e-13)
    assert phi.slope == pytest.approx(start.about(pair.source.mean).slope, rel=1e-13)
    x, rng = np.array([[0.1, 0.3, 0.5], [0.2, -1.0, 0.4]]), np.random.default_rng(1)
    y = start.gradient(x)
    assert np.sum(x * y, axis=1) - start(x) == pytest.approx(start.conjugate()(y), rel=1e-13)
    sample = law.sample(200_000, rng)
    assert np.cov(sample.T) == pytest.approx(law.cov, abs=0.03 * np.abs(law.cov).max())


def test_marginals_of_the_plan() -> None:
    """p_Xγ = e^{−f} exp((φ⁺ − φ)/ε), pointwise."""
    pair, phi, eps = *example(2, 5.0), 0.1
    x = np.array([[0.1, 0.3], [0.7, -0.2], [-1.0, 0.5]])
    expected = pair.source.log_density(x) + (pair.iterate(phi, eps)(x) - phi(x)) / eps
    assert pair.source_marginal(phi, eps).log_density(x) == pytest.approx(expected, rel=1e-11)
    psi = pair.half_step(phi, eps)
    after = pair.half_step(pair.half_step_back(psi, eps), eps)
    expected = pair.target.log_density(x) + (after(x) - psi(x)) / eps
    assert pair.target_marginal(psi, eps).log_density(x) == pytest.approx(expected, rel=1e-11)


MISTAKES = {
    "singular": (lambda: Normal([0.0, 0.0], np.ones((2, 2))), "cov has the eigenvalue .* positive definite"),
    "not symmetric": (lambda: Normal([0.0, 0.0], [[1.0, 0.5], [0.0, 1.0]]), "cov is not symmetric: take"),
    "mean of another length": (lambda: Normal([0.0], np.eye(2)), "mean has 1 entries, cov is 2 × 2"),
    "NaN": (lambda: Normal([np.nan], [[1.0]]), "finite"),
    "two dimensions": (lambda: Pair(Normal([0.0], [[1.0]]), Normal([0.0, 0.0], np.eye(2))), "must agree"),
    "start": (lambda: ClosedForm(example(2, 5.0)[0], Quadratic(-np.eye(2))), "hessian of the start has the eigenvalue"),
    "time": (lambda: ClosedForm(*example(2, 5.0)).hessian(-1.0), "t=-1"),
    "no multiple": (lambda: ClosedForm(*example(2, 5.0), 0.1).hessian(0.25), "t=0.25 is not a multiple of eps=0.1"),
    "eps": (lambda: example(2, 5.0)[0].schroedinger(0.0), "eps=0.0: .* positive"),
    "heat": (lambda: heat(example(2, 5.0)[0].source, -0.1), "t=-0.1"),
    "mirror": (lambda: entropy_mirror_flow(example(2, 5.0)[0].target, example(2, 5.0)[1], np.inf), "t=inf"),
    "step": (lambda: jko(*(2 * [example(2, 5.0)[0].source]), -1.0), "step=-1.0: .* positive"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_named(name: str) -> None:
    act, words = MISTAKES[name]
    with pytest.raises(ValueError, match=words):
        act()


@pytest.mark.parametrize("d", [1, 3])
def test_mirror_descent_and_its_variational_inequality(d: int) -> None:
    pair, start = example(d, 3.0)
    run = mirror_descent(pair, start.conjugate(), np.full(300, 0.005))
    assert np.all(run.upper_slack > -1e-12)
    assert np.all(run.lower_slack > -1e-12)
    assert np.all(np.diff(run.certificate) > -1e-13)
    if d == 1:  # ψ quadratic in one dimension: equality
        assert np.max(np.abs(run.lower_slack)) < 1e-12
    assert run.law.kl(pair.source) == pytest.approx(run.kl[-1], abs=1e-13)
    law = pair.law(start)
    assert [law.kl(pair.source), pair.source.kl(law)] == pytest.approx([run.kl[0], run.reverse_kl[0]], rel=1e-12)
    assert run.bregman[0] == pytest.approx(pair.bregman(pair.source, start), rel=1e-11)
    with pytest.raises(ValueError, match=r"step . with η=100 .* shorter"):
        mirror_descent(pair, start.conjugate(), [100.0, 100.0])


def test_mirror_descent_has_order_one() -> None:
    pair, start = example(3, 3.0)
    exact = ClosedForm(pair, start).law(0.5)
    errors = [mirror_descent(pair, start.conjugate(), np.full(n, 0.5 / n)).law.wasserstein(exact) for n in (100, 200)]
    assert 0.95 < np.log2(errors[0] / errors[1]) < 1.05


@pytest.mark.parametrize("eta", [0.25, 0.6])
def test_scalar_example_of_the_slides(eta: float) -> None:
    """From N(0, η²) to N(0, 1), reference N(0, η²): σ_M and σ_F in closed form, and who is faster by how much."""
    pi, rho = Normal([0.0], [[1.0]]), Normal([0.0], [[eta**2]])
    flow, R, t = ClosedForm(Pair(pi, rho), Quadratic([[1.0]])), (1 - eta) / (1 + eta), 1.3
    decay = R * np.exp(-2 * t / eta)
    assert flow.law(t).cov[0, 0] == pytest.approx(((1 - decay) / (1 + decay)) ** 2, rel=1e-14)
    assert fokker_planck(pi, rho, t).cov[0, 0] == pytest.approx(1 + (eta**2 - 1) * np.exp(-2 * t), rel=1e-14)
    t = 12 * eta
    with_digits = [(law.V[0] - 1) for law in (fokker_planck(pi, rho, t), flow.law(t))]
    ratio = float(abs(with_digits[0] / with_digits[1]))
    assert ratio == pytest.approx((1 + eta) ** 2 / 4 * np.exp(2 * t * (1 / eta - 1)), rel=1e-9)


def test_entropy_flows() -> None:
    """A' = −AΘ⁻¹A and q' = −AΘ⁻¹(q−b) by the law's own equations, V' = 2A⁻¹ and m' = 0."""
    pair, start = example(3, 5.0)
    h, law = 1e-4, [entropy_mirror_flow(pair.target, start, 0.3 + s) for s in (-1e-4, 0, 1e-4)]
    A = pair.potential(law[1]).hessian
    assert (law[2].cov - law[0].cov) / (2 * h) == pytest.approx(2 * np.linalg.inv(A), rel=1e-6, abs=1e-6)
    assert law[2].mean == pytest.approx(law[0].mean, rel=1e-13)
    assert heat(pair.source, 0.4).cov == pytest.approx(pair.source.cov + 0.8 * np.eye(3), rel=1e-15)


def test_average_of_mirror_descent_is_of_order_one_over_steps() -> None:
    """η constant: T·(average KL) tends to a constant; the certificate bounds it for every T."""
    pair = Pair(Normal([1.0, 0.0], [[1.0, 0.1], [0.1, 0.7]]), Normal([0.0, 0.5], [[1.2, -0.1], [-0.1, 0.8]]))
    run = mirror_descent(pair, Quadratic(1.2 * np.eye(2)), np.full(800, 0.1))
    scaled = np.arange(1, 801) * run.average_kl
    assert scaled[-1] == pytest.approx(scaled[399], rel=1e-6)
    bound = (run.bregman[0] - run.bregman[1:] + np.cumsum(run.eta * run.remainder)) / np.cumsum(run.eta)
    assert np.all(run.average_kl <= bound * (1 + 1e-12))


@pytest.mark.parametrize("s", [1e-60, 1e60])
def test_samples_of_a_normal_law_in_any_unit(s: float) -> None:
    """mpmath takes a pivot below 1e-60 for none: the law of a tiny covariance "is not positive-definite"."""
    covariance = np.array([[2.0, 1.9], [1.9, 2.0]])
    small, one = (Normal([0.0, 0.0], covariance * q).sample(3, np.random.default_rng(0)) for q in (s**2, 1.0))
    assert small / s == pytest.approx(one, rel=1e-12)
