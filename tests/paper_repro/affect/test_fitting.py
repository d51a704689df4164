import pytest
import torch
from torch import nn

from bogc.errors import DataError
from bogc.methods.cggm import CGGM
from bogc.methods.cggm_released import ReleasedCGGM
from bogc.models.classifier import ModalOutputs
from paper_repro.affect.config import AffectConfig
from paper_repro.affect.fitting import (
    JOINT,
    METHODS,
    PAPER,
    RELEASED,
    Parts,
    Sequences,
    batches,
    build_balancer,
    fit,
    losses,
    score,
)
from paper_repro.networks.affect import AffectNetwork

TINY = AffectConfig(epochs=2, batch_size=4, width=8, heads=2, layers=1, classifier_layers=1)
WIDTHS = {"text": 3, "audio": 2}


@pytest.fixture(autouse=True)
def single_precision():
    torch.set_default_dtype(torch.float32)


def sequences(size: int, classes: int) -> Sequences:
    generator = torch.Generator().manual_seed(size)
    inputs = {m: torch.randn(size, width, 4, generator=generator) for m, width in WIDTHS.items()}
    if classes == 1:
        return Sequences(inputs, inputs["text"].mean((1, 2)))
    return Sequences(inputs, torch.arange(size) % classes)


def parts(classes: int) -> Parts:
    return Parts(sequences(10, classes), sequences(6, classes), sequences(5, classes), classes)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("classes", [1, 4])
def test_every_epoch_is_scored_and_a_seed_repeats_its_run(method: str, classes: int):
    first, again = (fit(parts(classes), TINY, method, seed=1) for _ in range(2))
    assert first == again
    assert len(first) == 2
    expected = {"loss", "accuracy", "mae"} if classes == 1 else {"loss", "accuracy"}
    for epoch in first:
        assert epoch.valid.keys() == epoch.test.keys() == expected
        assert 0 <= epoch.test["accuracy"] <= 100


def test_methods_differ_and_the_network_learns():
    longer = AffectConfig(
        epochs=20, batch_size=5, width=8, heads=2, layers=1, attention=0, hidden=0, residual=0, embedding=0,
        output=0, classifier_layers=1, rate=0.01,
    )  # fmt: skip
    train = sequences(20, 1)
    same = Parts(train, train, train, 1)
    found = {method: fit(same, longer, method, seed=0) for method in METHODS}
    assert found[JOINT] != found[RELEASED] != found[PAPER]
    for epochs in found.values():
        assert epochs[-1].valid["mae"] < 0.7 * float((train.targets - train.targets.median()).abs().mean())


def test_each_method_is_the_named_one():
    torch.manual_seed(0)
    model = AffectNetwork(WIDTHS, 1, 8, 2, 1, TINY.dropouts)
    assert isinstance(build_balancer(model, 1, TINY, PAPER), CGGM)
    released = build_balancer(model, 1, TINY, RELEASED)
    assert isinstance(released, ReleasedCGGM)
    assert (released.rho, released.direction, released.clip) == (1.3, 0.2, 0)


class Constant(nn.Module):
    """Predicts what it was given, sample by sample."""

    def __init__(self, predictions: torch.Tensor) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))
        self.predictions = predictions

    def forward(self, inputs: dict[str, torch.Tensor]) -> ModalOutputs:
        rows = inputs["index"].flatten().long()
        return ModalOutputs(self.predictions[rows], {}, {})


def test_scores_are_the_released_ones():
    index = {"index": torch.arange(5.0).view(5, 1, 1)}
    scored = score(
        Constant(torch.tensor([[1.0], [-1.0], [0.5], [0.0], [2.0]])),
        Sequences(index, torch.tensor([2.0, 1.0, 0.0, 0.0, 3.0])),
        batch_size=2,
    )
    assert scored["accuracy"] == pytest.approx(60)  # a prediction above 0 for a score of 0 is wrong
    assert scored["mae"] == pytest.approx((1 + 2 + 0.5 + 0 + 1) / 5)
    assert scored["loss"] == pytest.approx((1.5 + 0.25 + 1) / 3)  # the mean of batches, not of utterances
    logits = torch.eye(5, 4)
    classes = score(Constant(logits), Sequences(index, torch.tensor([0, 1, 0, 3, 0])), batch_size=5)
    assert classes["accuracy"] == pytest.approx(80)
    assert "mae" not in classes


def test_losses_are_one_a_sample():
    predictions, scores = torch.randn(4, 1), torch.randn(4)
    torch.testing.assert_close(losses(predictions, scores), (predictions[:, 0] - scores).abs())
    logits, classes = torch.randn(4, 3), torch.tensor([0, 2, 1, 1])
    expected = [-torch.log_softmax(row, 0)[c] for row, c in zip(logits, classes, strict=True)]
    torch.testing.assert_close(losses(logits, classes), torch.stack(expected))


def test_batches_keep_the_order_and_an_incomplete_last_one():
    found = list(batches(sequences(10, 4), 4, torch.device("cpu")))
    assert [targets.tolist() for _, targets in found] == [[0, 1, 2, 3], [0, 1, 2, 3], [0, 1]]


def test_parts_of_other_features_are_refused():
    other = Sequences({"text": torch.zeros(2, 3, 4)}, torch.zeros(2))
    with pytest.raises(DataError, match="parts must have the same features"):
        Parts(sequences(4, 1), other, sequences(4, 1), 1)
