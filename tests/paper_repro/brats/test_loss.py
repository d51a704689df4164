import math

import pytest
import torch

from bogc.errors import ShapeError
from paper_repro.brats.loss import SEGMENTATION, WEIGHTS, dice, segmentation_loss


def test_the_loss_is_the_released_one_pixel_by_pixel():
    torch.manual_seed(0)
    logits, targets = torch.randn(2, 4, 3, 3), torch.randint(0, 4, (2, 3, 3))
    entropy = weight = inter = total = 0.0
    for n in range(2):
        for i in range(3):
            for j in range(3):
                shares = logits[n, :, i, j].softmax(0).tolist()
                true = int(targets[n, i, j])
                entropy -= WEIGHTS[true] * math.log(shares[true])
                weight += WEIGHTS[true]
                inter += shares[true] if true else 0
                total += sum(shares[1:]) + (1 if true else 0)
    expected = 0.5 * entropy / weight + 0.5 * (1 - 2 * inter / (total + 0.01))
    assert float(segmentation_loss(logits, targets)) == pytest.approx(expected)


def test_dice_is_1_for_the_truth_and_small_for_none_of_it():
    targets = torch.arange(4).view(1, 2, 2).repeat(2, 1, 1)
    truth = torch.nn.functional.one_hot(targets, 4).movedim(-1, 1).double()
    torch.testing.assert_close(dice(truth, targets), torch.ones(2))
    nothing = torch.zeros(2, 4, 2, 2)
    nothing[:, 0] = 1
    expected = sum(2e-3 / (count + 2e-3) for count in (1, 2, 3)) / 3
    torch.testing.assert_close(dice(nothing, targets), torch.full((2,), expected))
    torch.testing.assert_close(SEGMENTATION.merit(nothing, targets), torch.tensor(expected))


def test_regions_are_enhancing_core_and_whole():
    targets = torch.tensor([[[1, 2, 3, 0]]])
    found = torch.nn.functional.one_hot(torch.tensor([[[3, 2, 3, 0]]]), 4).movedim(-1, 1).double()
    enhancing, core, whole = 2 * 1.001 / 3.002, 1.0, 1.0
    torch.testing.assert_close(dice(found, targets), torch.tensor([(enhancing + core + whole) / 3]))


def test_classes_of_another_shape_are_refused():
    with pytest.raises(ShapeError, match=r"targets must have shape \[2, 3, 3\]"):
        segmentation_loss(torch.randn(2, 4, 3, 3), torch.zeros(2, 3, 2, dtype=torch.int64))
