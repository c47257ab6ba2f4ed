"""The processes that share a grid: sums, exchanges and two transposes; the only importer of mpi4py (extra ``mpi``)."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from traceback import print_exception
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..machine.arrays import Array
from ..machine.extras import extra
from ..machine.progress import silence

try:
    with extra("mpi"):
        from mpi4py import MPI
except (ImportError, RuntimeError) as error:
    if isinstance(error, ModuleNotFoundError):
        raise
    why = str(error).splitlines()[0]  # the wheel is there, the library that it looks for is not
    raise ImportError(
        f"mpi4py finds no MPI library ({why}): install Open MPI or MPICH, for example apt-get install openmpi-bin",
        name="mpi4py",
    ) from None

Slices = tuple[slice, ...]
KINDS = {
    np.dtype(np.float64): MPI.DOUBLE,
    np.dtype(np.complex64): MPI.C_FLOAT_COMPLEX,
    np.dtype(np.complex128): MPI.C_DOUBLE_COMPLEX,
}


def cut(n: int, parts: int) -> Slices:
    """range(n) in even slices.

    Examples
    --------
    >>> cut(25, 3)
    (slice(0, 8, None), slice(8, 16, None), slice(16, 25, None))
    """
    ends = [n * q // parts for q in range(parts + 1)]
    return tuple(slice(a, b) for a, b in pairwise(ends))


def width(part: slice) -> int:
    """Entries of a slice."""
    return part.stop - part.start


@dataclass(eq=False)
class Ranks:
    """A communicator, with the bytes that this rank has sent to others so far, by purpose, and how often.

    Every method that talks is collective: all ranks call it, in the same order.
    """

    comm: Any
    sent: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)

    @property
    def rank(self) -> int:
        """Of this process, 0 … size − 1."""
        return self.comm.Get_rank()

    @property
    def size(self) -> int:
        """How many processes there are."""
        return self.comm.Get_size()

    def summed(self, part: Any) -> Any:
        """The sum over the ranks of a number or of arrays of one shape."""
        total = np.array(part, dtype=np.float64)
        self.comm.Allreduce(MPI.IN_PLACE, total)
        return total if isinstance(part, np.ndarray) else float(total)

    def most(self, part: Any) -> Any:
        """The greatest, of a number or of each entry of arrays; NaN where one is, which MPI's own maximum may lose."""
        found = np.array([np.where(np.isnan(part), -np.inf, part), np.isnan(part)], dtype=np.float64)
        self.comm.Allreduce(MPI.IN_PLACE, found, op=MPI.MAX)
        greatest = np.where(found[1] > 0, np.nan, found[0])
        return greatest if isinstance(part, np.ndarray) else float(greatest)

    def gathered(self, part: Any) -> list[Any]:
        """What every rank has, in order; for small things."""
        return self.comm.allgather(part)

    def joined(self, part: Array, counts: Sequence[int]) -> Array:
        """The parts of all ranks, ``counts`` long, one after the other."""
        out = np.empty(sum(counts))
        self.comm.Allgatherv(part, [out, (list(counts), _starts(counts)), MPI.DOUBLE])
        self.sent["gathers"] += part.nbytes * (self.size - 1)
        self.calls["gathers"] += 1
        return out

    def agree(self, error: Exception | None) -> None:
        """Raise on every rank the error of the first that has one: a rank that raised alone would leave the others waiting."""
        if not self.summed(float(error is not None)):
            return
        errors = self.gathered(error)
        rank, first = next((rank, found) for rank, found in enumerate(errors) if found is not None)
        alone = sum(found is not None for found in errors) < self.size
        raise type(first)(f"{first} (rank {rank})" if alone else str(first)) from error

    def following(self, mine: Array) -> Array:
        """What the next rank gives, after the last the first; this rank gives ``mine``."""
        got, send = np.empty(mine.shape), np.ascontiguousarray(mine)
        self.comm.Sendrecv(send, dest=(self.rank - 1) % self.size, recvbuf=got, source=(self.rank + 1) % self.size)
        self.sent["ghosts"] += send.nbytes
        return got

    def exchange(self, pieces: Sequence[NDArray], counts: Sequence[int], purpose: str) -> list[NDArray]:
        """What every other rank has for this one, flat and ``counts`` long, for one flat piece to each of them."""
        kind = pieces[0].dtype
        send = np.concatenate([np.ravel(piece) for piece in pieces])
        got = np.empty(sum(counts), kind)
        self.all_to_all(send, [piece.size for piece in pieces], got, counts, purpose)
        return np.split(got, list(accumulate(counts))[:-1])

    def all_to_all(self, send: NDArray, to: Sequence[int], got: NDArray, of: Sequence[int], purpose: str) -> None:
        """``to[q]`` numbers for rank q and ``of[q]`` from it, one after the other in contiguous arrays."""
        kind = KINDS[send.dtype]
        self.comm.Alltoallv([send, (to, _starts(to)), kind], [got, (of, _starts(of)), kind])
        self.sent[purpose] += send.itemsize * (sum(to) - to[self.rank])
        self.calls[purpose] += 1


def _starts(counts: Sequence[int]) -> list[int]:
    return [0, *accumulate(counts)][:-1]


@dataclass(frozen=True, eq=False)
class Transpose:
    """Between rows (m, C), of which each rank has some, all columns, and columns (N, c), all rows and some columns.

    ``sends`` is the kind of number that they are on the way, where that is not their own.
    """

    ranks: Ranks
    rows: Slices  # of each rank
    columns: Slices
    purpose: str = "transposes"
    sends: DTypeLike | None = None

    def to_columns(self, a: NDArray, out: NDArray) -> None:
        """(m, C) to (N, c): what comes is in place already, but for its precision."""
        m, mine = a.shape[0], width(self.columns[self.ranks.rank])
        send, begin = np.empty(a.size, self.sends or a.dtype), 0
        for part in self.columns:
            end = begin + m * width(part)
            send[begin:end].reshape(m, -1)[...] = a[:, part] if width(part) else 0
            begin = end
        to = [m * width(part) for part in self.columns]
        got = out if out.dtype == send.dtype else np.empty(out.shape, send.dtype)
        self.ranks.all_to_all(send, to, got, [width(part) * mine for part in self.rows], self.purpose)
        if got is not out:
            out[...] = got

    def to_rows(self, a: NDArray, out: NDArray) -> None:
        """(N, c) to (m, C): what goes is in place already, but for its precision."""
        m, mine = out.shape[0], width(self.columns[self.ranks.rank])
        send = a.astype(self.sends or a.dtype, copy=False)
        got, begin = np.empty(out.size, send.dtype), 0
        of = [m * width(part) for part in self.columns]
        self.ranks.all_to_all(send, [width(part) * mine for part in self.rows], got, of, self.purpose)
        for part, count in zip(self.columns, of, strict=True):
            out[:, part] = got[begin : begin + count].reshape(m, -1)
            begin += count


def ranks_of(comm: Any) -> Ranks:
    """The ranks of a communicator, all processes unless given.

    From then on an error that nobody catches on one rank ends all of them, since the others would wait for it for ever; and only
    the first rank shows progress.
    """
    ranks = Ranks(MPI.COMM_WORLD if comm is None else comm)
    if ranks.size > 1:
        sys.excepthook = _end_all
        if ranks.rank > 0:
            silence()
    return ranks


def _end_all(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    print_exception(kind, error, trace)
    print(f"rank {MPI.COMM_WORLD.Get_rank()} failed: all ranks end", file=sys.stderr, flush=True)
    sys.stdout.flush()
    MPI.COMM_WORLD.Abort(1)
