import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bogc.errors import DtypeError, ShapeError
from bogc.methods.tasks import CLASSIFICATION, REGRESSION, SENTIMENT, check_classes


@given(st.integers(0, 999), st.sampled_from([(), (3,), (2, 3)]))
def test_classification_counts_and_averages_every_pixel(seed, pixels):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(5, 4, *pixels, generator=generator)
    targets = torch.randint(4, (5, *pixels), generator=generator)
    flat = logits.movedim(1, -1).reshape(-1, 4).tolist()
    classes = targets.flatten().tolist()
    right = [max(range(4), key=row.__getitem__) == c for row, c in zip(flat, classes, strict=True)]
    losses = [
        torch.tensor(row).exp().sum().log().item() - row[c] for row, c in zip(flat, classes, strict=True)
    ]
    assert CLASSIFICATION.merit(logits, targets).item() == sum(right) / len(right)
    assert CLASSIFICATION.loss(logits, targets).item() == pytest.approx(sum(losses) / len(losses), rel=1e-12)


@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=1, max_size=8))
def test_absolute_errors_and_signs(pairs):
    predictions, targets = torch.tensor(pairs).T
    error = sum(abs(p - t) for p, t in pairs) / len(pairs)
    signs = sum((p > 0) == (t > 0) for p, t in pairs) / len(pairs)
    for shape in [(-1,), (-1, 1)]:
        for task, merit in [(REGRESSION, -error), (SENTIMENT, signs)]:
            assert task.loss(predictions.reshape(shape), targets).item() == pytest.approx(error)
            assert task.merit(predictions.reshape(shape), targets).item() == pytest.approx(merit)


@pytest.mark.parametrize("task", [REGRESSION, SENTIMENT], ids=["regression", "sentiment"])
@pytest.mark.parametrize("targets", [(4, 3), (3,), (4, 0)])
def test_targets_that_would_broadcast_are_refused(task, targets):
    for measure in (task.loss, task.merit):
        with pytest.raises(
            ShapeError, match=r"^targets must have as many elements as the predictions, \[4, 1\]"
        ):
            measure(torch.zeros(4, 1), torch.zeros(targets))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("task", [CLASSIFICATION, REGRESSION, SENTIMENT], ids=["classes", "numbers", "signs"])
def test_a_merit_is_wide_and_a_loss_has_the_predictions_dtype(task, dtype):
    predictions = torch.randn(6, 3, dtype=dtype, requires_grad=True)
    targets = torch.randint(3, (6,)) if task is CLASSIFICATION else torch.randn(6, 3, dtype=dtype)
    assert task.merit(predictions, targets).dtype == torch.float64
    assert task.loss(predictions, targets).dtype == dtype
    task.loss(predictions, targets).backward()
    assert predictions.grad is not None


@pytest.mark.parametrize("pixels", [(), (2, 3)])
@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (lambda t: t.double(), DtypeError, "must be int64 class indices; found torch.float64"),
        (lambda t: t.int(), DtypeError, "must be int64 class indices; found torch.int32"),
        (lambda t: t[:3], ShapeError, r"must have shape \[5.*\], a class for each prediction; found \[3"),
        (lambda t: t.unsqueeze(1), ShapeError, "must have shape"),
        (lambda t: t.unsqueeze(-1), ShapeError, "must have shape"),
    ],
    ids=["float", "int32", "short", "column", "trailing"],
)
def test_targets_that_are_not_one_class_a_prediction_are_refused(pixels, wrong, error, message):
    logits, targets = torch.zeros(5, 4, *pixels), torch.zeros(5, *pixels, dtype=torch.int64)
    check_classes(logits, targets)
    with pytest.raises(error, match=f"^targets {message}"):
        check_classes(logits, wrong(targets))
    with pytest.raises(error, match=r"^targets must"):
        CLASSIFICATION.loss(logits, wrong(targets))
