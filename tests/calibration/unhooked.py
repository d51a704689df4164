"""Largest difference of the compiled to the eager kernel: ``python -m tests.calibration.unhooked``."""

import json

import torch

from bogc.belief import PseudoCount, ReliabilityFrame
from bogc.calibration import Compiled, Eager, MatchEachBlock, Pipeline, calibrator
from tests.calibration.moments import as_dtype, blocks, means_of

PIPELINES = {"sign": Pipeline(), "reliability": Pipeline(evidence=PseudoCount(frame=ReliabilityFrame()))}


def difference(pipeline: Pipeline, sources: int) -> float:
    """Over all blocks, relative to the largest element of each."""
    moments = as_dtype(blocks(1, sources, (5000, 3, 9000), kind="dead"), torch.float32)
    slow, fast = (calibrator(pipeline, MatchEachBlock(), kernel) for kernel in (Eager(), Compiled()))
    expected, found = (run(means_of(moments), moments, {}).updates for run in (slow, fast))
    return max(float((found[n] - v).abs().max() / v.abs().max()) for n, v in expected.items())


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps({f"{n}, {s} sources": difference(p, s) for n, p in PIPELINES.items() for s in (1, 2)}))
