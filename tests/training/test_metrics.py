import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from bogc.errors import DataError
from bogc.models import MultimodalClassifier
from bogc.training.metrics import calibration_error, evaluate, predict, probe_accuracy, score
from tests import tiny


@given(st.integers(0, 10**6))
def test_scores_against_definitions(seed: int):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(40, 4, generator=generator)
    targets = torch.randint(0, 4, (40,), generator=generator)
    scores = score(logits, targets)
    assert scores.accuracy == pytest.approx((logits.argmax(1) == targets).double().mean().item())
    assert scores.nll == pytest.approx(log_loss(targets, logits.double().softmax(1), labels=range(4)))
    f1 = []
    for k in set(targets.tolist()) | set(logits.argmax(1).tolist()):
        hit = ((logits.argmax(1) == k) & (targets == k)).sum().item()
        f1.append(2 * hit / ((logits.argmax(1) == k).sum().item() + (targets == k).sum().item()))
    assert scores.macro_f1 == pytest.approx(sum(f1) / len(f1))


def test_calibration_error_of_known_cases():
    assert calibration_error(torch.full((10,), 0.8), torch.tensor([1.0] * 8 + [0.0] * 2)) == pytest.approx(0)
    assert calibration_error(torch.full((10,), 0.9), torch.zeros(10)) == pytest.approx(0.9)
    assert calibration_error(torch.ones(3), torch.ones(3)) == 0.0


def test_probe_separates_what_is_separable():
    targets = torch.arange(60) % 3
    features = torch.nn.functional.one_hot(targets).double() + 0.05 * torch.randn(60, 3)
    assert probe_accuracy(features[:30], targets[:30], features[30:], targets[30:]) == 1.0


def test_evaluation_covers_every_modality_and_leaves_the_model_as_it_was():
    data = tiny.load()
    model = MultimodalClassifier.for_samples({m: v[0] for m, v in data.inputs.items()}, 3, 8).float()
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    train, test = data.subset(torch.arange(100)), data.subset(torch.arange(100, 150))
    evaluation = evaluate(model, train, test)
    assert (
        set(evaluation.unimodal) == set(evaluation.probes) == set(evaluation.without) == {"vector", "series"}
    )
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_removing_a_modality_is_predicting_without_it():
    data = tiny.load()
    model = MultimodalClassifier.for_samples({m: v[0] for m, v in data.inputs.items()}, 3, 8).float().eval()
    expected = model({"series": data.inputs["series"]}).fused
    torch.testing.assert_close(predict(model, data, without="vector").fused, expected.detach())


def test_a_forward_pass_that_fails_leaves_the_model_in_training():
    data = tiny.load()
    model = MultimodalClassifier.for_samples({m: v[0] for m, v in data.inputs.items()}, 3, 8).float().train()
    with pytest.raises(DataError, match="modalities must be among"):
        predict(model, data, without="smell")
    assert model.training
