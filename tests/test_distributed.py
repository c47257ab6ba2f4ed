"""Grids in slabs over ranks of MPI: the answers are those of one process, and so is the work."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pmasolve import Torus

HERE = Path(__file__).parent
MPIRUN = shutil.which("mpirun")
VERSION = subprocess.run([MPIRUN, "--version"], capture_output=True, text=True).stdout if MPIRUN else ""
FLAGS = ["--oversubscribe", "--mca", "mpi_yield_when_idle", "1"] if "Open MPI" in VERSION else []

pytestmark = pytest.mark.skipif(
    not (MPIRUN and find_spec("mpi4py")), reason="needs mpi4py (extra mpi) and an MPI library with mpirun"
)


def launched(ranks: int, case: str, *arguments: Any) -> subprocess.CompletedProcess[str]:
    """A case of on_ranks.py on so many ranks of one thread each."""
    assert MPIRUN
    threads = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    environment = {**os.environ, **threads, **root, "PYTHONPATH": str(HERE.parent)}
    command = [MPIRUN, *FLAGS, "-n", str(ranks), sys.executable, str(HERE / "on_ranks.py"), case, json.dumps(arguments)]
    return subprocess.run(command, cwd=HERE, env=environment, capture_output=True, text=True, timeout=600)


def found(ranks: int, case: str, *arguments: Any) -> Any:
    """What it has found."""
    result = launched(ranks, case, *arguments)
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads(result.stdout.partition("FOUND ")[2].splitlines()[0])


TOGETHER = {
    2: {"many": [[[64, 64], "callable"], [[64, 64], "spline"]], "folded": []},
    3: {
        "many": [[[25, 22, 27], "spline"]],
        "flowed": [[24, 26], "callable", 1e-6],
        "scattered": [301, 250],
    },
    4: {"sent": [[64, 64]], "refused": []},
}


@cache
def together(ranks: int) -> dict[str, Any]:
    """What several cases have found in one start: importing and loading what is compiled takes seconds for each rank."""
    return found(ranks, "several", TOGETHER[ranks])


def same(run: dict[str, Any]) -> None:
    """An answer in slabs and that of one process, by the same steps."""
    print(run)
    assert run["size"] > 1e-3
    assert run["u"] < 1e-14
    assert run["map"] < 1e-12
    assert run["outcome"][0] == run["outcome"][1]
    assert run["counts"][0] == run["counts"][1]
    assert run["cost"][0] == pytest.approx(run["cost"][1], rel=1e-12)
    assert run["interval"][:2] == pytest.approx(run["interval"][2:], rel=1e-9)
    assert run["norms"][:3] == pytest.approx(run["norms"][3:], rel=1e-6, abs=1e-14)


def test_two_ranks_find_what_one_does() -> None:
    for run in together(2)["many"]:
        same(run)
        assert 32 in run["bits"]


def test_three_uneven_slabs_find_what_one_process_does() -> None:
    """8, 8 and 9 planes; points are routed, since the slabs are thin.  Newton ends unfinished on so few points: float64 again."""
    (run,) = together(3)["many"]
    same(run)
    assert run["bits"] == [64]
    assert run["sent"][0] > 0
    assert run["sent"][1] > 0


def runs_agree(run: dict[str, Any], rtol: float) -> None:
    """Sinkhorn to roundings; MongeAmpere, by another integrator, to the error that both have, at the same cost."""
    print(run)
    assert run["outcomes"] == ["reached", "reached"]
    assert run["same steps"]
    assert run["sinkhorn"] < 1e-14
    assert run["records"] < 1e-13
    assert run["errors"][0] < 3 * run["errors"][1] + 1e-14
    assert run["errors"][0] < 10 * rtol
    assert run["calls"][0][0] <= 1.4 * run["calls"][1][0]
    assert run["mass"] == pytest.approx(1.0, abs=1e-6)
    assert run["errors"][0] < run["distance"] < 1e-3  # the two solvers share nothing but the grid: apart by ε², no more


def test_sinkhorn_and_the_flow_on_slabs_are_those_of_one_process() -> None:
    runs_agree(together(3)["flowed"], 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [2, 4])
@pytest.mark.parametrize("kind", ["callable", "spline"])
def test_flows_in_space(ranks: int, kind: str) -> None:
    runs_agree(found(ranks, "flowed", [24, 18, 20], kind, 1e-6), 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_any_number_of_ranks_finds_what_one_does(ranks: int) -> None:
    kinds = ("callable", "spline", "spectral")
    shapes = ([64, 64], [48, 48, 48], [25, 22, 27])
    for run in found(ranks, "many", *([shape, kind] for shape in shapes for kind in kinds)) if ranks > 1 else []:
        same(run)


BYTES = {"evaluation": 33, "certificate": 33, "inner step": 17, "tiny": 17}  # float64, float64, float32


def test_bytes_are_those_of_four_transposes_and_nothing_else_is_sent() -> None:
    run = together(4)["sent"]
    for work, most in BYTES.items():
        assert 0.97 * most * 3 / 4 <= run[work] <= most * 3 / 4
        assert run[f"{work} calls"] == {"transposes": 4}
    assert run["steps"][1] == run["steps"][2]  # scaled to 1 before they are float32


@pytest.mark.slow
@pytest.mark.parametrize("shape", [[64, 64], [64, 64, 64]])
@pytest.mark.parametrize("ranks", [2, 3, 4])
def test_bytes_on_any_number_of_ranks(ranks: int, shape: list[int]) -> None:
    run = found(ranks, "sent", shape)
    for work, most in BYTES.items():
        assert run[work] <= most * (ranks - 1) / ranks
        assert run[f"{work} calls"] == {"transposes": 4}


def test_bad_use_is_told_to_every_rank_with_its_remedy() -> None:
    words = [
        r"shape (12, 16) of the whole grid: give the planes of this rank",
        "NaN or infinite values: clean it first (rank 1)",
        "not periodic",
        "negative values (least -1): a density is ≥ 0",
        "take at most 3 ranks (mpirun -n 3)",
        "slabs are of grids with 2 or 3 axes",
        "slabs are of tori",
        "in slabs there are transport by Newton's method, Sinkhorn and MongeAmpere",
        "take space=Fourier()",
        "in slabs there are",
        "in slabs there are",
        "on slabs leave softmin= out",
        "on slabs leave softmin= out",
        "in slabs there are",
        "in slabs there are",
        "on a device there are tori of one process",
    ]
    told = together(4)["refused"]
    assert len(told) == len(words)
    for answer, part in zip(told, words, strict=True):
        assert part in answer


def test_a_run_goes_on_on_another_number_of_ranks(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    assert found(3, "kept", str(tmp_path), True) is None
    x = np.float64(Torus((20, 24)).points)
    with h5py.File(tmp_path / "points.h5", "w") as file:
        file.create_dataset("x", data=x)
        file.create_dataset("y", data=x[:, :19])
    np.save(tmp_path / "other.npy", np.zeros((20, 24), int))
    assert found(2, "kept", str(tmp_path), False) < 1e-14
    assert found(1, "kept", str(tmp_path), False) < 1e-14
    assert {path.name for path in tmp_path.iterdir()} == {"run", "points.npy", "points.h5", "other.npy"}


def test_a_fold_between_two_ranks_is_seen() -> None:
    across, inside = together(2)["folded"]
    assert across == -3 / 16
    assert inside == 0.0


def test_ranks_agree_on_extremes_and_on_what_all_of_them_say() -> None:
    low, high, lost, kept, all_are, all_first = found(3, "agreed")
    assert (low, high, kept) == (0, 2, 2)
    assert np.isnan(lost)
    assert all_are
    assert not all_first


def test_clouds_share_out_their_targets() -> None:
    run = together(3)["scattered"]
    print(run)
    assert run["outcome"] == "reached"
    assert run["gap"] < 1e-13
    assert run["pairs"][1] <= run["pairs"][0]  # of one direction: the work is divided, not repeated
    assert run["bytes"] <= run["gathers"] * 8 * 301 * 2


@pytest.mark.parametrize("how", ["signal", "error"])
def test_when_one_rank_ends_so_do_the_others_with_a_message(how: str) -> None:
    began = time.monotonic()
    result = launched(2, "killed", how)
    assert result.returncode != 0
    assert "under way" in result.stdout
    assert "FOUND" not in result.stdout
    if how == "error":
        assert "this rank has had enough" in result.stderr
        assert "rank 1 failed: all ranks end" in result.stderr
    else:
        assert "killed" in result.stderr.lower()
    assert time.monotonic() - began < 60  # hours, were the others to wait


@pytest.mark.slow
def test_no_rank_has_an_array_of_the_whole_grid() -> None:
    """64³ on four ranks within 45 arrays of a slab, some 11 of the grid, where one process does not fit."""
    assert found(4, "limited", 64, 45) == {"slabs": True, "serial": False}
