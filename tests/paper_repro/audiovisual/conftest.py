"""A folder of made clips in the layout of CREMA-D."""

from pathlib import Path

import pytest
from torch import Tensor, nn

from paper_repro.audiovisual import fitting
from tests.data.folders.made import write_crema_d

EMOTIONS = ("NEU", "HAP", "SAD", "FEA", "DIS", "ANG")


@pytest.fixture
def crema_d(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    names = {
        part: [f"{1001 + index}_IEO_{EMOTIONS[index % 6]}_XX" for index in range(start, stop)]
        for part, start, stop in [("train", 0, 12), ("test", 12, 18)]
    }
    monkeypatch.setenv("BOGC_CREMA_D", str(write_crema_d(tmp_path / "crema", names)))
    return tmp_path / "crema"


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
    monkeypatch.setattr(fitting, "ResNet18", SmallEncoder)
