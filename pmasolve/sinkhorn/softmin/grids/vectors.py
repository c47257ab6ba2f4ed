"""One loop that LLVM's vectoriser does not find: a product that keeps its sums in registers.

Written out for LLVM as four sums of eight doubles, which any processor's vector registers can hold in halves or quarters.
In place of a sum loaded and stored again for each few terms, each term is one multiply-add: twice as fast as the loop in Python.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

GROUP = 4  # lines that share the loads of a kernel row
LANES = 8  # outputs of one register panel; padded to, and lines written, a cache line at a time
DOUBLE, VECTOR, ZEROS = ir.DoubleType(), ir.VectorType(ir.DoubleType(), LANES), ir.VectorType(ir.IntType(32), LANES)


def _row(builder: Any, array: Any, r: int) -> Any:
    """Pointer to the first number of row r."""
    stride = builder.extract_value(array.strides, 0)
    address = builder.add(builder.ptrtoint(array.data, stride.type), builder.mul(stride, stride.type(r)))
    return builder.inttoptr(address, DOUBLE.as_pointer())


def _splat(builder: Any, number: Any) -> Any:
    """A vector of eight times the number."""
    first = builder.insert_element(VECTOR(ir.Undefined), number, ir.IntType(32)(0))
    return builder.shuffle_vector(first, VECTOR(ir.Undefined), ZEROS([0] * LANES))


def _vector_at(builder: Any, pointer: Any, index: Any) -> Any:
    """Pointer to the eight doubles from an index on."""
    return builder.bitcast(builder.gep(pointer, [index]), VECTOR.as_pointer())


def _panel(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """The loop over i of ``panel``; the four sums are promoted to registers."""
    arrays = [cgutils.create_struct_proxy(signature.args[k])(context, builder, arguments[k]) for k in range(4)]
    (sources, starts, table, acc), (shift, count, column) = arrays, arguments[4:]
    sums = [cgutils.alloca_once_value(builder, VECTOR([0.0] * LANES)) for _ in range(GROUP)]
    rows = [_row(builder, sources, r) for r in range(GROUP)]
    offset = builder.add(shift, column)
    with cgutils.for_range(builder, count) as loop:
        start = builder.add(builder.load(builder.gep(starts.data, [loop.index])), offset)
        kernel = builder.load(_vector_at(builder, table.data, start), align=8)
        for total, row in zip(sums, rows, strict=True):
            source = _splat(builder, builder.load(builder.gep(row, [loop.index])))
            term = builder.fmul(source, kernel, flags=("contract",))
            builder.store(builder.fadd(builder.load(total), term, flags=("contract",)), total)
    for r, total in enumerate(sums):
        builder.store(builder.load(total), _vector_at(builder, _row(builder, acc, r), column), align=8)
    return context.get_dummy_value()


@intrinsic
def panel(typingctx, sources, starts, table, acc, shift, count, column):
    """acc[r, t] = Σᵢ sources[r, i]·table[starts[i] + shift + t] for r < 4, t = column … column + 7 and i < count.

    Rows of ``sources`` and ``acc``, and ``starts`` and ``table``, are contiguous.  Nothing is checked.
    """
    whole = types.int64
    return types.void(sources, starts, table, acc, whole, whole, whole), _panel
