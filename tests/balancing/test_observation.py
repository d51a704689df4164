import pytest
import torch

from bogc.balancing import Observation
from bogc.errors import LossError
from bogc.models import ModalOutputs

LOGITS = torch.zeros(4, 3)
OUTPUTS = ModalOutputs(LOGITS, {"image": LOGITS}, {"image": torch.zeros(4, 2)})
TARGETS = torch.arange(4) % 3


def losses() -> dict[str, torch.Tensor]:
    weight = torch.ones((), requires_grad=True)
    return {"fusion": weight * torch.tensor([1.0, 2.0, 3.0, 6.0]), "image": weight * torch.tensor([5.0, 7.0])}


def test_means_are_over_each_sources_own_samples_and_keep_their_graph():
    seen = Observation(losses())
    assert {source: mean.item() for source, mean in seen.means.items()} == {"fusion": 3.0, "image": 6.0}
    assert all(mean.requires_grad for mean in seen.means.values())
    assert seen.fusion.item() == seen.means["fusion"].item()
    assert seen.fusion.requires_grad


def test_predictions_are_what_was_given():
    outputs, targets = Observation(losses(), OUTPUTS, TARGETS).predictions("OGMGE")
    assert outputs is OUTPUTS
    assert targets is TARGETS


@pytest.mark.parametrize(
    ("given", "missing"),
    [({"targets": TARGETS}, "outputs"), ({"outputs": OUTPUTS}, "targets"), ({}, "outputs")],
)
def test_a_method_that_needs_predictions_says_so(given: dict, missing: str):
    message = rf"{missing} must be given to OGMGE; found None. Call backward\(losses, outputs, targets\)"
    with pytest.raises(LossError, match=message):
        Observation(losses(), **given).predictions("OGMGE")


def test_outputs_without_features_are_refused():
    outputs = ModalOutputs(LOGITS, {"image": LOGITS}, {})
    with pytest.raises(LossError, match=r"^outputs.features must hold a modality's for OGMGE; found none"):
        Observation(losses(), outputs, TARGETS).predictions("OGMGE")
