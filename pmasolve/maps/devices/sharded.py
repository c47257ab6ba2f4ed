"""Arrays shared out among the devices of JAX: ``jit(shard_map)``, whose transposes are ``all_to_all``.

Transforms are never taken of a sharded array as such: that compiles into a gather of all of it on every device (jax 0.10.2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...machine.arrays import shown
from ...problems.grids import Grid
from .libraries import ArrayFunction


@dataclass(frozen=True, eq=False)
class Sharded:
    """JAX on a mesh of one axis; one device is a mesh too."""

    jax: Any
    mesh: Any

    @property
    def xp(self) -> Any:
        """jax.numpy."""
        return self.jax.numpy

    @property
    def name(self) -> str:
        """In words."""
        return f"jax on {self.count} {self.mesh.devices.flat[0].platform}"

    @property
    def count(self) -> int:
        """Devices."""
        return self.mesh.devices.size

    @property
    def axis(self) -> str:
        """Of the mesh."""
        return self.mesh.axis_names[0]

    def admit(self, grid: Grid) -> None:
        """Any grid on one device; on several those that all can have an equal share of."""
        if not self._shares(grid):
            raise ValueError(
                f"{grid!r} on {self.count} devices: give three axes, the first and the second of them multiples of {self.count}, "
                "or a single device"
            )

    def on(self, grid: Grid) -> Sharded:
        """Coarser grids that the devices cannot share go to the first of them."""
        return self if self._shares(grid) else sharded_over(self.jax, self.mesh.devices.flat[0])

    def _shares(self, grid: Grid) -> bool:
        return self.count == 1 or (grid.dim == 3 and grid.shape[0] % self.count == grid.shape[1] % self.count == 0)

    def constant(self, array: np.ndarray) -> Any:
        """JAX calculates with arrays of NumPy."""
        return array

    def place(self, array: np.ndarray, kind: str) -> Any:
        """Every device its share."""
        return self.jax.device_put(array, self.jax.NamedSharding(self.mesh, self._spec(kind)))

    def fetch(self, array: Any) -> np.ndarray:
        """From all devices."""
        return np.asarray(array)

    def compiled(self, work: ArrayFunction, takes: Sequence[str], gives: Sequence[str] | str) -> ArrayFunction:
        """One program for all devices."""
        there = tuple(map(self._spec, takes))
        back = self._spec(gives) if isinstance(gives, str) else tuple(map(self._spec, gives))
        return self.jax.jit(self.jax.shard_map(work, mesh=self.mesh, in_specs=there, out_specs=back, check_vma=False))

    def to_columns(self, planes: Any) -> Any:
        """all_to_all."""
        return planes if self.count == 1 else self.jax.lax.all_to_all(planes, self.axis, 1, 0, tiled=True)

    def to_planes(self, columns: Any) -> Any:
        """all_to_all."""
        return columns if self.count == 1 else self.jax.lax.all_to_all(columns, self.axis, 0, 1, tiled=True)

    def mine(self, array: Any, axis: int) -> Any:
        """A slice that begins where this device's share does; an axis of one point is everybody's."""
        whole = self.xp.asarray(array)
        if whole.shape[axis] == 1:
            return whole
        size = whole.shape[axis] // self.count
        return self.jax.lax.dynamic_slice_in_dim(whole, self.jax.lax.axis_index(self.axis) * size, size, axis)

    def pointwise(self, work: ArrayFunction, points: Sequence[Any]) -> Any:
        """The compiler fuses it."""
        return work(points)

    def added(self, count: int, term: Callable[[Any], Any]) -> Any:
        """A loop, since a program for each term would take minutes to compile."""
        return self.jax.lax.fori_loop(1, count, lambda m, total: total + term(m), term(0))

    def summed(self, part: Any) -> Any:
        """psum."""
        return self.jax.lax.psum(part, self.axis)

    def most(self, part: Any) -> Any:
        """pmax."""
        return self.jax.lax.pmax(part, self.axis)

    def _spec(self, kind: str) -> Any:
        specs = {"planes": (self.axis,), "columns": (None, self.axis), "whole": ()}
        return self.jax.P(*specs[kind]) if self.count > 1 else self.jax.P()


def sharded_over(jax: Any, device: Any) -> Sharded:
    """A mesh, or a single device.

    Raises
    ------
    ValueError : neither, a mesh of several axes, or JAX without float64.
    """
    mesh = jax.sharding.Mesh(np.array([device]), ("all",)) if isinstance(device, jax.Device) else device
    if not isinstance(mesh, jax.sharding.Mesh) or len(mesh.axis_names) != 1:
        raise ValueError(
            f"device={shown(device)}: give a device of JAX, or a mesh of one axis, jax.make_mesh((4,), ('x',))"
        )
    if not jax.config.jax_enable_x64:
        raise ValueError("JAX calculates in float32: jax.config.update('jax_enable_x64', True) before anything else")
    return Sharded(jax, mesh)
