"""The Triton kernel beside the eager one: ``python -m tests.calibration.triton_beside_eager DEVICE``.

Prints the largest differences. On the CPU with TRITON_INTERPRET=1. On a GPU no step after the first may wait
for the device.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import product
from typing import Final

import torch

from bogc.belief import PseudoCount, ReliabilityFrame, SignFrame
from bogc.calibration import (
    BatchMean,
    Eager,
    EqualWeights,
    MatchEachBlock,
    Pipeline,
    PosteriorMean,
    TritonKernel,
    calibrator,
)
from tests.calibration.moments import Blocks, as_dtype, blocks, means_of

SIZES: Final = (4500, 3, 130, 300)
CASES: Final = (
    (torch.float64, "plain", 1),
    (torch.float64, "plain", 2),
    (torch.float64, "constant", 3),
    (torch.float32, "dead", 3),
    (torch.bfloat16, "dead", 2),
)
PIPELINES: Final = {
    f"{frame.__name__} {aggregated.__name__}": Pipeline(
        evidence=PseudoCount(3.0, frame()), aggregated=aggregated()
    )
    for frame, aggregated in product((SignFrame, ReliabilityFrame), (PosteriorMean, BatchMean))
}
OTHER: Final = Pipeline(weights=EqualWeights())  # no Triton function computes its directions


def on(moments: Blocks, device: torch.device) -> Blocks:
    """Move, with every field a tensor there."""
    return {
        name: {s: type(m)(**{k: v.to(device) for k, v in vars(m).items()}) for s, m in sources.items()}
        for name, sources in moments.items()
    }


def difference(pipeline: Pipeline, steps: list[Blocks]) -> float:
    """Of the updates over all blocks and steps, relative to the largest element of each."""
    slow, fast = (calibrator(pipeline, MatchEachBlock(), kernel) for kernel in (Eager(), TritonKernel(2048)))
    slow_states, states, errors = {}, {}, []
    for index, moments in enumerate(steps):
        expected = slow(means_of(moments), moments, slow_states)
        never = index > 0 and moments["b0"]["s0"].mean.is_cuda
        with no_waiting() if never else nullcontext():
            found = fast(means_of(moments), moments, states)
        slow_states, states = expected.states, found.states
        for name, update in expected.updates.items():
            errors.append(float((found.updates[name] - update).abs().max() / update.abs().max()))
    return max(errors)


@contextmanager
def no_waiting() -> Iterator[None]:
    """An error for whatever waits for the GPU."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def main(device: torch.device) -> None:
    """Print the differences, by dtype and what is special."""
    found = {}
    for dtype, kind, sources in CASES:
        steps = [on(as_dtype(blocks(s, sources, SIZES, kind=kind), dtype), device) for s in (1, 2)]
        for name, pipeline in (PIPELINES | {"other": OTHER}).items():
            found[f"{dtype}: {name}, {sources} sources, {kind}"] = difference(pipeline, steps)
    print(json.dumps(found))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(torch.device(sys.argv[1]))
