import pytest
import torch
from torch import nn

from bogc.errors import LossError
from bogc.gradients import ModalityPartition
from bogc.methods import BatchView
from bogc.models import ModalOutputs

LOGITS = torch.zeros(4, 3)
OUTPUTS = ModalOutputs(LOGITS, {"image": LOGITS}, {"image": torch.zeros(4, 2)})
TARGETS = torch.arange(4) % 3


def losses() -> dict[str, torch.Tensor]:
    weight = torch.ones((), requires_grad=True)
    return {"fusion": weight * torch.tensor([1.0, 2.0, 3.0, 6.0]), "image": weight * torch.tensor([5.0, 7.0])}


def view(outputs: ModalOutputs | None = None, targets: torch.Tensor | None = None) -> BatchView:
    own = losses()
    partition = ModalityPartition({"image": nn.Linear(1, 1)})
    return BatchView(own, partition, {source: len(loss) for source, loss in own.items()}, outputs, targets)


def test_means_are_over_each_sources_own_samples():
    seen = view()
    means = seen.values()
    assert {source: mean.item() for source, mean in means.items()} == {"fusion": 3.0, "image": 6.0}
    assert not any(mean.requires_grad for mean in means.values())
    assert seen.fusion.item() == means["fusion"].item()
    assert seen.fusion.requires_grad


def test_predictions_are_what_was_given():
    outputs, targets = view(OUTPUTS, TARGETS).predictions("OGMGE")
    assert outputs is OUTPUTS
    assert targets is TARGETS


@pytest.mark.parametrize(
    ("given", "missing"),
    [({"targets": TARGETS}, "outputs"), ({"outputs": OUTPUTS}, "targets"), ({}, "outputs")],
)
def test_a_method_that_needs_predictions_says_so(given: dict, missing: str):
    message = rf"{missing} must be given to OGMGE; found None. Call backward\(losses, outputs, targets\)"
    with pytest.raises(LossError, match=message):
        view(**given).predictions("OGMGE")


def test_outputs_without_features_are_refused():
    outputs = ModalOutputs(LOGITS, {"image": LOGITS}, {})
    with pytest.raises(LossError, match=r"^outputs.features must hold a modality's for OGMGE; found none"):
        view(outputs, TARGETS).predictions("OGMGE")
