from pathlib import Path

import pytest
import torch

from bogc.errors import DataError
from paper_repro.audiovisual.pretrained import load_imagenet, our_name
from paper_repro.networks.resnet import ResNet18

from .conftest import their_name, write_imagenet


@pytest.fixture(autouse=True)
def single_precision():
    torch.set_default_dtype(torch.float32)


def test_every_name_is_translated_and_strangers_are_not():
    for name in ResNet18(3).state_dict():
        assert our_name(their_name(name)) == name
    for name in ("fc.weight", "layer5.0.conv1.weight", "layer1.0.conv3.weight", "conv1", ""):
        assert our_name(name) == ""


def test_some_of_torchvisions_names():
    assert our_name("conv1.weight") == "stem.0.weight"
    assert our_name("bn1.running_var") == "stem.1.running_var"
    assert our_name("layer2.0.downsample.1.num_batches_tracked") == "stages.2.shortcut.1.num_batches_tracked"
    assert our_name("layer4.1.conv2.weight") == "stages.7.residual.3.weight"


def test_a_loaded_encoder_computes_what_the_saved_one_did(tmp_path: Path):
    torch.manual_seed(0)
    encoder = ResNet18(3)
    path = tmp_path / "a.pth"
    own = write_imagenet(path)
    load_imagenet(encoder, path)
    saved = ResNet18(3)
    saved.load_state_dict(own)
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(encoder.eval()(x), saved.eval()(x), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ([1.0], "must hold conv1.weight; found list"),
        ({"fc.weight": torch.zeros(2)}, "must hold conv1.weight; found dict"),
        ({"conv1.weight": torch.zeros(64, 3, 7, 7)}, "must have the shapes of ResNet-18"),
    ],
)
def test_other_weights_are_refused(tmp_path: Path, content: object, match: str):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(DataError, match=match):
        load_imagenet(ResNet18(3), tmp_path / "a.pth")


class Attack:
    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self):
        return Path.touch, (self.victim,)


def test_damaged_and_dangerous_files_are_refused(tmp_path: Path):
    torch.save({"conv1.weight": Attack(tmp_path / "made")}, tmp_path / "a.pth")
    with pytest.raises(DataError, match="must be a file of torchvision's weights"):
        load_imagenet(ResNet18(3), tmp_path / "a.pth")
    assert not (tmp_path / "made").exists()
    (tmp_path / "a.pth").write_bytes(b"PK\3\4")
    with pytest.raises(DataError, match="must be a file of torchvision's weights"):
        load_imagenet(ResNet18(3), tmp_path / "a.pth")
