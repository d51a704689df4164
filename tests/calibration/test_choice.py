from dataclasses import dataclass

import pytest

from bogc.belief import DimensionsFrame, LogPrecision, PseudoCount
from bogc.calibration import (
    KERNELS,
    BatchMean,
    Blockwise,
    Eager,
    Fused,
    Pipeline,
    RelativeBelief,
    Unscaled,
    calibrator,
)
from bogc.errors import ConfigError
from bogc.posterior import BlockPrior, DimensionPrior, FixedPrior, NormalInverseGammaRoute


@dataclass(frozen=True)
class OtherWeights(RelativeBelief):
    """Says it is one of ours; may be anything."""


OTHERS = {
    "prior": DimensionPrior(),
    "route": NormalInverseGammaRoute(),
    "evidence": LogPrecision(),
    "fold": lambda opinions: opinions[0],
    "weights": OtherWeights(),
}


@pytest.mark.parametrize(
    "pipeline",
    [
        Pipeline(),
        Pipeline(prior=FixedPrior()),
        Pipeline(prior=BlockPrior(0)),
        Pipeline(aggregated=BatchMean()),
    ],
)
def test_the_usual_pipelines_are_fused(pipeline):
    found = calibrator(pipeline, Unscaled(), Eager(1024))
    assert isinstance(found, Fused)
    assert found.kernel == Eager(1024)


@pytest.mark.parametrize("name", OTHERS)
def test_others_go_block_by_block(name):
    pipeline = Pipeline(**{name: OTHERS[name]})
    assert isinstance(calibrator(pipeline, Unscaled()), Blockwise)


def test_the_frame_of_dimensions_goes_block_by_block_and_refuses_another_kernel(monkeypatch):
    monkeypatch.setenv("CXX", "sh")  # any program that is there
    pipeline = Pipeline(evidence=PseudoCount(frame=DimensionsFrame()))
    assert isinstance(calibrator(pipeline, Unscaled(), Eager()), Blockwise)
    with pytest.raises(ConfigError, match=r"kernel needs a closed form: .*; found .* Leave the kernel out"):
        calibrator(pipeline, Unscaled(), KERNELS["compiled"]())
