# The types of arguments are known to Triton alone.
# mypy: ignore-errors
"""The fused pass in Triton: one program a tile of one block, each number of a block read once a program.

Only ``triton_kernel`` imports this file, and only when a kernel runs: Triton is an optional dependency.

A row of ``tiles`` says which piece a tile lies in, where it begins there, how many elements it has, its block
and where it begins in the output; ``addresses`` [pieces, 2 S] where each piece of each source begins in
memory, gradients first; ``constants`` [3, S, B] are the fields of Constants. A program leaves its sums in a
column of ``partial``. Names in capitals are fixed when a function is compiled.
"""

import triton
import triton.language as tl


@triton.jit
def _place(tiles, addresses, SOURCES: tl.constexpr, BLOCK: tl.constexpr):
    """Addresses of the piece, offsets in it, which elements exist, block, offsets in the output."""
    row = tiles + tl.program_id(0).to(tl.int64) * 5
    lane = tl.arange(0, BLOCK)
    piece = addresses + tl.load(row) * 2 * SOURCES
    inside = lane < tl.load(row + 2)
    return piece, tl.load(row + 1) + lane, inside, tl.load(row + 3), tl.load(row + 4) + lane


@triton.jit
def _values(piece, which, at, inside, like, partial):
    """One tile of one tensor in the dtype of ``partial``; 0 where there is no element."""
    address = tl.load(piece + which).to(like.dtype)
    return tl.load(address + at, mask=inside, other=0.0).to(partial.dtype.element_ty)


@triton.jit
def sums(tiles, addresses, like, partial, SOURCES: tl.constexpr, BLOCK: tl.constexpr):
    """Write the rows of ``Kernel.sums`` to ``partial`` [2 S + 1, tiles]."""
    piece, at, inside, _, _ = _place(tiles, addresses, SOURCES, BLOCK)
    column, count = partial + tl.program_id(0), tl.num_programs(0)
    plain = tl.zeros([BLOCK], dtype=partial.dtype.element_ty)
    for m in tl.static_range(SOURCES):
        gradient = _values(piece, m, at, inside, like, partial)
        scatter = _values(piece, SOURCES + m, at, inside, like, partial)
        plain += gradient
        tl.store(column + m * count, tl.sum(gradient * gradient))
        tl.store(column + (SOURCES + m) * count, tl.sum(scatter))
    tl.store(column + 2 * SOURCES * count, tl.sum(plain * plain))


@triton.jit
def directions(
    tiles,
    addresses,
    constants,
    blocks,
    like,
    out,
    partial,
    LIMIT: tl.constexpr,
    TINY: tl.constexpr,
    SOURCES: tl.constexpr,
    SIGN: tl.constexpr,
    BATCH_MEAN: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Write directions to ``out`` and their sums of squares to ``partial`` [tiles].

    The formulas are those of BeliefMean and of SignCertainty or SupportCertainty. LIMIT is that of
    ``Source.odds``, TINY the smallest normal number.
    """
    piece, at, inside, block, to = _place(tiles, addresses, SOURCES, BLOCK)
    weighed = tl.zeros([BLOCK], dtype=partial.dtype.element_ty)
    weights, total, difference = weighed + TINY, weighed, weighed
    for m in tl.static_range(SOURCES):
        gradient = _values(piece, m, at, inside, like, partial)
        scatter = _values(piece, SOURCES + m, at, inside, like, partial)
        given = constants + m * blocks + block
        noise = tl.maximum(scatter, tl.load(given)) * tl.load(given + SOURCES * blocks)
        scale = tl.load(given + 2 * SOURCES * blocks)
        belief = scale / (noise + scale)
        value = gradient if BATCH_MEAN else belief * gradient
        weighed += value * belief
        weights += belief
        if SIGN and SOURCES > 1:
            odds = tl.minimum(scale / noise, LIMIT)
            sign = tl.erf(gradient / tl.sqrt(noise / belief))
            same, other = total + sign * difference, difference + sign * total
            total += odds + 0.5 * odds * same
            difference += odds * sign + 0.5 * odds * other
            smaller = tl.minimum(1e30 / total, 1.0)
            total *= smaller
            difference *= smaller
        else:
            total += belief * (1 - total)
    direction = value * total
    if SOURCES > 1:
        certainty = total / (total + 1) if SIGN else total
        direction = weighed / weights * SOURCES * certainty
    tl.store(out + to, direction, mask=inside)
    tl.store(partial + tl.program_id(0), tl.sum(tl.where(inside, direction * direction, 0.0)))
