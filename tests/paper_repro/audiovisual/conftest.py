"""Folders of a dozen made clips in the layouts of the papers' repositories."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from paper_repro.audiovisual import network
from paper_repro.audiovisual.sources import SOURCES
from paper_repro.audiovisual.studies import STUDIES, Study
from paper_repro.networks.resnet import ResNet18
from tests.paper_repro.readers.made import (
    write_ave,
    write_crema_d,
    write_kinetics_sounds,
    write_ucf101,
    write_vggsound,
)

EMOTIONS = ("NEU", "HAP", "SAD", "FEA", "DIS", "ANG")
RANGES = {"train": range(12), "test": range(12, 18)}


def _crema_d(folder: Path) -> Path:
    names = {
        part: [f"{1001 + index}_IEO_{EMOTIONS[index % 6]}_XX" for index in indices]
        for part, indices in RANGES.items()
    }
    return write_crema_d(folder, names)


def _kinetics_sounds(folder: Path) -> Path:
    clips = {part: [(index % 5, f"clip_{index}") for index in indices] for part, indices in RANGES.items()}
    return write_kinetics_sounds(folder, clips, shape=(40, 32))


def _named(ranges: dict[str, range]) -> dict[str, list[tuple[str, str]]]:
    return {part: [(f"C{index % 3}", f"v_{index}") for index in indices] for part, indices in ranges.items()}


def _ave(folder: Path) -> Path:
    return write_ave(folder, _named(RANGES | {"val": range(18, 21)}), shape=(33, 40))


def _ucf101(folder: Path) -> Path:
    write_ucf101(folder, _named(RANGES))
    write_imagenet(folder / "resnet18.pth")
    return folder


def _vggsound(folder: Path) -> Path:
    clips = [(name, "0", label, part) for part, each in _named(RANGES).items() for label, name in each]
    return write_vggsound(folder, clips)


WRITERS: dict[str, Callable[[Path], Path]] = {
    "BOGC_CREMA_D": _crema_d,
    "BOGC_KINETICS_SOUNDS": _kinetics_sounds,
    "BOGC_AVE": _ave,
    "BOGC_VGGSOUND": _vggsound,
    "BOGC_UCF101": _ucf101,
}
"""Environment variable to what writes a folder for it."""

THEIR_BLOCK = {
    "residual.0": "conv1",
    "residual.1": "bn1",
    "residual.3": "conv2",
    "residual.4": "bn2",
    "shortcut.0": "downsample.0",
    "shortcut.1": "downsample.1",
}


def their_name(name: str) -> str:
    """torchvision's name of one of our parameters, written down apart from the code under test."""
    if name.startswith("stem."):
        return name.replace("stem.0", "conv1").replace("stem.1", "bn1")
    _, block, kind, position, last = name.split(".")
    return f"layer{int(block) // 2 + 1}.{int(block) % 2}.{THEIR_BLOCK[f'{kind}.{position}']}.{last}"


def write_imagenet(path: Path) -> dict[str, Tensor]:
    """Write the weights of a network that torch drew, under torchvision's names, with its linear layer."""
    own = ResNet18(3).float().state_dict()
    theirs = {their_name(name): value for name, value in own.items()}
    torch.save(theirs | {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}, path)
    return own


@pytest.fixture
def crema_d(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BOGC_CREMA_D", str(_crema_d(tmp_path / "crema")))
    return tmp_path / "crema"


@pytest.fixture(params=STUDIES, ids=lambda study: study.name)
def study(request: pytest.FixtureRequest) -> Study:
    found: Study = request.param
    return found


@pytest.fixture
def made(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the study's environment variable names."""
    variable = SOURCES[study.source].variable
    folder = WRITERS[variable](tmp_path / "made")
    monkeypatch.setenv(variable, str(folder))
    return folder


class SmallEncoder(nn.Module):
    """A stand-in of the same interface, which takes milliseconds."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, 512, 16, stride=16)

    def forward(self, x: Tensor) -> Tensor:
        picture = x.mean(2) if x.ndim == 5 else x
        return self.convolution(picture).relu().mean((2, 3))


@pytest.fixture
def small_encoders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "ResNet18", SmallEncoder)
    monkeypatch.setattr(network, "load_imagenet", lambda encoder, path: path.read_bytes())
