"""Claims on the workers of Dask's distributed scheduler; the only importer of ``distributed`` (extra ``distributed``)."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

from distributed import Client


@contextmanager
def cluster(address: str, *, timeout: float = 30.0) -> Iterator[Executor]:
    """The workers behind a scheduler, "tcp://host:8786"; they need this package, of the same version, installed.

    Raises
    ------
    ConnectionError : nobody answers at this address within ``timeout`` seconds.
    """
    try:
        client = Client(address, timeout=timeout)
    except (OSError, ValueError) as error:
        raise ConnectionError(
            f"no scheduler answers at {address}: start one with `dask scheduler` ({error})"
        ) from error
    with client, client.get_executor(pure=False) as executor:
        yield executor
