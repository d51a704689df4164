from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bogc.methods.cggm import CGGM
from bogc.methods.cggm_released import ReleasedCGGM
from paper_repro.brats.config import BratsConfig
from paper_repro.brats.fitting import (
    JOINT,
    PAPER,
    RELEASED,
    build_balancer,
    fit,
    rate_at,
    training_batches,
)
from paper_repro.brats.run import EXPERIMENT
from paper_repro.networks.segmentation import SegmentationNetwork
from paper_repro.readers.brats import MODALITIES, BratsSlices, read_brats

TINY = EXPERIMENT.quick


@pytest.fixture(autouse=True)
def single_precision():
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def parts(patients: Path) -> dict[str, BratsSlices]:
    return {part: read_brats(patients, part, TINY.side) for part in ("train", "valid", "test")}


def test_every_epoch_is_scored_and_a_seed_repeats_its_run(parts: dict[str, BratsSlices]):
    config = replace(TINY, epochs=2)
    first, again = (fit(parts, config, RELEASED, seed=1) for _ in range(2))
    assert first == again
    assert len(first) == 2
    assert all(0 <= epoch.valid <= 100 and 0 <= epoch.test <= 100 for epoch in first)


def test_the_released_spelling_leaves_encoders_as_they_are():
    torch.manual_seed(0)
    model = SegmentationNetwork(MODALITIES, 4, TINY.sizes)
    released = build_balancer(model, BratsConfig(width=1, depths=(1, 1, 1), features=4, early=2), RELEASED)
    assert isinstance(released, ReleasedCGGM)
    assert (released.strength, released.clip, released.direction) == (0, 0, 0.1)
    paper = build_balancer(model, TINY, PAPER)
    assert isinstance(paper, CGGM)
    assert (paper.strength, paper.rho) == (1.0, 1.0)
    assert type(build_balancer(model, TINY, JOINT)).__name__ == "JointTraining"


def test_the_rate_rises_in_a_line_and_falls_by_a_cosine():
    config = BratsConfig()
    rates = [rate_at(step, 75, 10, config) for step in range(75)]
    assert rates[0] == pytest.approx(4e-4)
    assert rates[9:11] == pytest.approx([0.01, 0.01])
    assert rates[1] - rates[0] == pytest.approx((0.01 - 4e-4) / 9)
    assert rates[10 + 13] == pytest.approx(
        1e-3 + 0.0045 * (1 + 0.8090169943749475)
    )  # a fifth: cos 36 degrees
    assert sorted(rates[10:], reverse=True) == rates[10:]
    assert rates[-1] > 1e-3


def test_a_last_batch_of_one_slice_is_left_out(parts: dict[str, BratsSlices]):
    def sizes(batch_size: int) -> list[int]:
        found = training_batches(parts["train"], batch_size, 0, 0, torch.device("cpu"))
        return [len(targets) for _, targets in found]

    assert sizes(3) == [3]
    assert sizes(2) == [2, 2]
