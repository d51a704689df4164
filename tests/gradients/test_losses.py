import pytest
import torch
from torch import nn

from bogc.errors import DtypeError, LossError, NonFiniteError
from bogc.gradients import ModalityPartition, check_finite_step, check_losses

LAYER = nn.Linear(2, 1)
PARTITION = ModalityPartition({"image": LAYER})
LEAF = torch.ones(3, dtype=torch.float64, requires_grad=True)
GOOD = 2 * LEAF


@pytest.mark.parametrize(
    ("losses", "error", "message"),
    [
        ({}, LossError, "must contain 'fusion'"),
        ({"image": GOOD}, LossError, "must contain 'fusion'"),
        ({"fusion": GOOD, "sound": GOOD}, LossError, r"must be one of \['fusion', 'image'\]; found sound"),
        ({"fusion": GOOD.mean()}, LossError, r"one loss a sample; found shape \[\]\. Use reduction='none'"),
        ({"fusion": GOOD[:0]}, LossError, r"must have shape \[N\].*found shape \[0\]\. Use reduction"),
        ({"fusion": GOOD.view(3, 1)}, LossError, r"found shape \[3, 1\]\. Add \.squeeze\(1\)\."),
        ({"fusion": GOOD.view(1, 3)}, LossError, r"found shape \[1, 3\]\. Add \.flatten\(1\)\.mean\(1\)"),
        (
            {"fusion": GOOD, "image": GOOD.view(3, 1, 1)},
            LossError,
            r"losses\['image'\].*\[3, 1, 1\]\. Add \.fl",
        ),
        ({"fusion": GOOD.detach()}, LossError, "must depend on the parameters"),
        ({"fusion": LEAF}, LossError, "must depend on the parameters"),
        ({"fusion": GOOD, "image": GOOD.detach()}, LossError, r"losses\['image'\] must depend"),
        ({"fusion": torch.ones(3, dtype=torch.int64)}, DtypeError, "must be floating point"),
    ],
)
def test_wrong_losses_are_refused(losses, error, message):
    with pytest.raises(error, match=message):
        check_losses(losses, PARTITION)


@pytest.mark.parametrize("shape", [(3, 2), (3, 4, 5), (1, 3)])
def test_the_line_to_add_makes_the_loss_right(shape):
    losses = torch.ones(shape, requires_grad=True) * 2
    with pytest.raises(LossError, match=r"Add \.flatten\(1\)\.mean\(1\)"):
        check_losses({"fusion": losses}, PARTITION)
    check_losses({"fusion": losses.flatten(1).mean(1)}, PARTITION)


@pytest.mark.parametrize(
    "losses",
    [{"fusion": GOOD}, {"image": GOOD[:1], "fusion": GOOD}, {"fusion": GOOD, "image": GOOD.float()}],
)
def test_missing_modality_and_unequal_counts_and_dtypes_are_fine(losses):
    check_losses(losses, PARTITION)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_first_bad_source_is_named(bad, dtype):
    good, broken = torch.ones(3, dtype=dtype), torch.tensor([1.0, bad, 1.0], dtype=dtype)
    with pytest.raises(NonFiniteError, match="sound must be finite"):
        check_finite_step({"image": [good], "sound": [good, broken], "text": [broken]})


def test_infinities_of_both_signs_do_not_cancel():
    with pytest.raises(NonFiniteError, match="image"):
        check_finite_step({"image": [torch.tensor([float("inf"), -float("inf")])]})


def test_finite_gradients_pass_whatever_their_dtype():
    check_finite_step({})
    check_finite_step({"image": []})
    check_finite_step({"image": [torch.ones(2), torch.ones(2, dtype=torch.float32)]})
    check_finite_step({"image": [torch.tensor([1e300])]})  # beyond float32, and yet finite


def test_a_sum_that_overflows_is_reported():
    with pytest.raises(NonFiniteError, match="image"):
        check_finite_step({"image": [torch.tensor([3e38, 3e38], dtype=torch.float32)]})
