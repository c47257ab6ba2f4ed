"""Passes in shares: all of the work is done once, progress is told, an interruption is heard in between."""

import numpy as np

from pmasolve import Problem, Sinkhorn, evolve, resume
from pmasolve.machine import progress, threads


def test_spread_covers_the_range_once(monkeypatch):
    """Shares of every size add up, whatever the number of operations, and tell how far they are."""
    told = []
    monkeypatch.setattr(threads, "tell_share", told.append)
    monkeypatch.setattr(threads, "PROMPT", 1000)
    for count, cost in ((1, 10**9), (7, 10), (100, 10_000), (1000, 3)):
        seen = np.zeros(count, int)

        def work(begin, end, seen=seen):
            seen[begin:end] += 1
            return end - begin

        assert threads.spread(work, count, cost) == count
        assert (seen == 1).all()
    assert told[-1] == 1.0
    assert min(told) > 0


def test_an_interruption_is_heard_between_shares(monkeypatch):
    """Ctrl-C inside a pass: no further share begins, and the run keeps its last iterate and goes on to the same bits."""
    rng = np.random.default_rng(2)
    problem = Problem.from_samples(rng.random((900, 2)), rng.random((800, 2)))
    flow = Sinkhorn(problem, 1e-3)
    whole = evolve(flow, [1e-3, 3e-3])
    heard, pressed, limit = [], [], 40

    def press(share):
        heard.append(share)
        if len(heard) >= limit and share < 1 and not pressed:
            pressed.append(share)
            raise KeyboardInterrupt

    monkeypatch.setattr(
        threads, "get_num_threads", lambda: 1
    )  # another thread could take all that is left before a press
    monkeypatch.setattr(threads, "PROMPT", 50_000)
    monkeypatch.setattr(threads, "FEW_OPERATIONS", 0)
    monkeypatch.setattr(threads, "tell_share", press)
    part = evolve(flow, [1e-3, 3e-3], throw=False)
    assert part.outcome.name == "interrupted"
    assert len(heard) >= limit
    assert pressed == heard[-1:]  # no share after it
    assert 0 < pressed[0] < 1
    rest = resume(part, whole.times[part.times.size :])
    assert (rest.potentials == whole.potentials).all()


def test_the_bar_hears_of_shares():
    """Only while it is there."""
    progress.tell_share(0.5)
    with progress.progress_bar("title", 1.0, True) as show:
        show(0.0, {})
        progress.tell_share(0.5)
        assert progress._LISTENER.get().__name__ == "inside"
    assert progress._LISTENER.get() is None
