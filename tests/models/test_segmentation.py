import pytest
import torch

from bogc.balancing.cggm import CGGM
from bogc.balancing.cggm_released import ReleasedCGGM
from bogc.errors import DataError
from bogc.gradients import FUSION
from bogc.models.deeplab import Sizes
from bogc.models.segmentation import SegmentationClassifier, SegmentationNetwork

TINY = Sizes(width=1, depths=(1, 1, 1), features=3, early=2)
NAMES = ("flair", "t1")


def network() -> SegmentationNetwork:
    torch.manual_seed(0)
    return SegmentationNetwork(NAMES, 4, TINY)


def pictures() -> dict[str, torch.Tensor]:
    return {m: torch.randn(3, 1, 32, 32) for m in NAMES}


def test_every_pixel_gets_logits_and_features_are_what_classifiers_read():
    found = network()(pictures())
    assert found.fused.shape == (3, 4, 32, 32)
    assert {m: tuple(f.shape) for m, f in found.features.items()} == dict.fromkeys(NAMES, (3, 7, 8, 8))
    assert SegmentationClassifier(4, TINY, 32)(found.features["t1"]).shape == (3, 4, 32, 32)


def test_zeros_stand_in_for_absent_features_and_unknown_pictures_are_refused():
    model, inputs = network().eval(), pictures()
    found = model({"t1": inputs["t1"]})
    features = found.features["t1"]
    torch.testing.assert_close(found.fused, model.decoder([torch.zeros_like(features), features], (32, 32)))
    with pytest.raises(DataError, match=r"unknown \['t2'\]"):
        model({"t2": inputs["t1"]})


@pytest.mark.parametrize("released", [False, True])
def test_both_spellings_of_cggm_train_it(released: bool):
    model = network()
    classifiers = torch.nn.ModuleDict({m: SegmentationClassifier(4, TINY, 32) for m in NAMES})
    optimiser = torch.optim.SGD(classifiers.parameters(), 1e-3)
    arguments = (model.partition(), classifiers, optimiser)
    balancer = ReleasedCGGM(*arguments, model.weights, clip=0) if released else CGGM(*arguments)
    for _ in range(2):
        outputs, classes = model(pictures()), torch.randint(0, 4, (3, 32, 32))
        loss = torch.nn.functional.cross_entropy(outputs.fused, classes, reduction="none").mean((1, 2))
        balancer.backward({FUSION: loss}, outputs, classes)
    assert all(p.grad is not None for p in model.parameters())
