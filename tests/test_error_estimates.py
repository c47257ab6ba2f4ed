"""The errors a user can quote: each estimate against an error that is known otherwise."""

import numpy as np
import pytest

import pmasolve as pma

TWO_PI = 2 * np.pi
T = 1 / 32


def problem(n):
    return pma.Problem(
        pma.Torus((n, n)),
        lambda x, y: 0.3 * np.cos(TWO_PI * x) + 0.2 * np.sin(TWO_PI * y),
        lambda x, y: 0.3 * np.cos(TWO_PI * (x + y)),
    )


@pytest.fixture(scope="module")
def truth():
    return pma.evolve(pma.MongeAmpere(problem(64), rtol=1e-10), [T])


def test_time_error_is_estimated_within_a_factor(truth):
    run = pma.evolve(pma.MongeAmpere(problem(64), rtol=1e-6), [T])
    estimate, error = run.error_estimate(), pma.compare(run, truth).sup
    assert 0.5 < estimate.time[0] / error[0] < 2
    assert estimate.space[0] < 0.2 * estimate.time[0]  # the floor: the tighter run's own error in time


def sup_on_coarse(run, fine):
    """Distance on every other point of the fine grid."""
    grid = run.flow.problem.domain
    return [grid.sup(grid.centred(run.potentials[0] - fine.potentials[0][::2, ::2]))]


@pytest.mark.parametrize("order", [2, 4, 6])
def test_space_error_is_estimated_within_a_factor(truth, order):
    run = pma.evolve(pma.MongeAmpere(problem(32), space=pma.FiniteDifference(order), rtol=1e-10), [T])
    estimate, error = run.error_estimate(), sup_on_coarse(run, truth)
    assert 0.5 < estimate.total[0] / error[0] < 2


@pytest.mark.parametrize("gauge", [pma.PLAIN, pma.SYMMETRIC])
def test_sinkhorn_estimates_its_distance_from_pma(truth, gauge):
    run = pma.evolve(pma.Sinkhorn(problem(64), 1 / 512, gauge=gauge), [T])
    assert 0.9 < run.error_estimate().time[0] / pma.compare(run, truth).sup[0] < 1.1


def test_corrected_is_of_order_two_and_says_how_far_it_is(truth):
    errors = []
    for eps in (1 / 256, 1 / 512):
        run = pma.evolve(pma.corrected(problem(64), eps), [T])
        errors.append(pma.compare(run, truth).sup[0])
        assert 0.9 < run.error_estimate().total[0] / errors[-1] < 1.1
    assert abs(np.log2(errors[0] / errors[1]) - 2) < 0.05


def test_static_corrected_is_of_order_two_and_says_how_far_it_is():
    exact = pma.brenier(problem(48), 8e-3, levels=5, ratio=2**0.5)
    found = [pma.schroedinger(problem(48), eps) for eps in (8e-3, 4e-3)]
    errors = [exact.runs[0].flow.problem.domain.sup(one.corrected - exact.potential) for one in found]
    print(errors, [one.error_estimate() for one in found], exact.error_estimate)
    assert abs(np.log2(errors[0] / errors[1]) - 2) < 0.1
    for one, error in zip(found, errors, strict=True):
        assert 0.9 < one.error_estimate() / error < 1.1


def test_richardson_errs_by_less_than_it_says(truth):
    run = pma.evolve(pma.Richardson(problem(64), 1 / 128, levels=3, quadrature=1e-6), [T])
    assert pma.compare(run, truth).sup[0] < run.error_estimate().total[0]


def test_the_independent_certificate_agrees_and_catches_a_wrong_run(truth):
    certificate = pma.cross_check(truth, 1 / 128, levels=4)
    assert certificate.distance[0] < 1e-8
    assert certificate.distance[0] < 3 * certificate.own_error[0]
    wrong = pma.Trajectory(**{**vars(truth), "potentials": 1.001 * truth.potentials})
    caught = pma.cross_check(wrong, 1 / 128, levels=4)
    assert caught.distance[0] > 100 * caught.own_error[0]


@pytest.mark.parametrize("domain", [pma.Torus, pma.Box])
@pytest.mark.parametrize("n", [8, 9])
def test_resampling_is_exact_for_resolved_functions(domain, n):
    from pmasolve.calculus.transforms import resample

    def u(x, y):
        return np.cos(TWO_PI * x) + 0.5 * np.cos(2 * TWO_PI * y)

    old, new = domain((n, 2 * n)), domain((3 * n, n))
    assert np.max(np.abs(resample(u(*old.points), old, new) - u(*new.points))) < 1e-13
