"""The compiled kernel beside the eager one: ``python -m tests.calibration.unhooked BACKEND FRAME SOURCES``.

Prints the largest difference over several models and steps, and how often torch compiled: in the first round
over the models, and in the second.
"""

import json
import sys
from typing import Final

import torch
from torch._dynamo.utils import counters

from bogc.belief import PseudoCount, ReliabilityFrame
from bogc.calibration import Compiled, Eager, MatchEachBlock, Pipeline, calibrator
from bogc.gradients import GradientMoments
from tests.calibration.moments import Blocks, as_dtype, blocks, means_of

PIPELINES: Final = {
    "sign": Pipeline(),
    "reliability": Pipeline(evidence=PseudoCount(frame=ReliabilityFrame())),
}
SIZES: Final = (
    (5000, 3, 9000),
    (9000,),
    (5000, 5000, 200),
    (128,) * 128,
    (1,) * 7,
    (3,),
    (4097, 4097, *(64,) * 300, 20_000),
)


def as_views(moments: Blocks) -> Blocks:
    """Every tensor as one row of a matrix: with an offset, and of another shape."""
    return {
        name: {
            source: GradientMoments(**{k: torch.stack([v, -v, v])[2] for k, v in vars(m).items()})
            for source, m in sources.items()
        }
        for name, sources in moments.items()
    }


def difference(pipeline: Pipeline, moments: Blocks, backend: str) -> float:
    """Over all blocks, relative to the largest element of each."""
    kernels = (Eager(), Compiled(backend))
    slow, fast = (calibrator(pipeline, MatchEachBlock(), kernel) for kernel in kernels)
    expected, found = (run(means_of(moments), moments, {}).updates for run in (slow, fast))
    return max(float((found[n] - v).abs().max() / v.abs().max()) for n, v in expected.items())


def main(backend: str, frame: str, sources: int) -> None:
    """Go over the models twice."""
    errors, compilations = [], []
    for seed in (1, 2):
        for sizes in SIZES:
            moments = as_dtype(blocks(seed, sources, sizes), torch.float32)
            for given in (moments, as_views(moments)):
                errors.append(difference(PIPELINES[frame], given, backend))
        compilations.append(counters["stats"]["unique_graphs"])
    print(json.dumps({"error": max(errors), "compilations": compilations}))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
