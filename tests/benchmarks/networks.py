"""Two-modal networks of the kinds that people train, for ``make bench`` and the count of operations."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bogc import ModalityPartition

CLASSES: Final = 7


def series_encoder() -> nn.Module:
    """Three strided convolutions over 200 steps of 3 channels."""
    layers: list[nn.Module] = []
    for before, after in ((3, 32), (32, 48), (48, 64)):
        layers += [nn.Conv1d(before, after, 5, 2), nn.BatchNorm1d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten())


def wide_encoder() -> nn.Module:
    """An MLP of 640 k parameters."""
    layers: list[nn.Module] = []
    for before, after in ((200, 512), (512, 512), (512, 512)):
        layers += [nn.Linear(before, after), nn.BatchNorm1d(after), nn.ReLU()]
    return nn.Sequential(*layers)


class _Residual(nn.Module):
    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, 1, 1, bias=False),
            nn.BatchNorm2d(after),
        )
        same = stride == 1 and before == after
        self.skip = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.skip(x))


def resnet18() -> nn.Module:
    """ResNet-18 for 32 x 32 pictures, 11 M parameters."""
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    before = 64
    for after, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [_Residual(before, after, stride), _Residual(after, after, 1)]
        before = after
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def picture_encoder() -> nn.Module:
    """Three convolutions for 16 x 16 pictures."""
    layers: list[nn.Module] = []
    for before, after in ((3, 32), (32, 64), (64, 64)):
        layers += [nn.Conv2d(before, after, 3, 2, 1), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


class TextTransformer(nn.Module):
    """Two encoder layers with dropout over 32 embedded words, and a bare parameter for positions."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.positions = nn.Embedding(500, 128), nn.Parameter(0.02 * torch.randn(32, 128))
        layer = nn.TransformerEncoderLayer(128, 4, 256, dropout=0.1, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.layers(self.words(x) + self.positions).mean(1)
        return found


class Recurrent(nn.Module):
    """An LSTM over 50 steps of 16 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(16, 128, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.lstm(x)[0][:, -1]
        return found


class Bert(nn.Module):
    """A BERT of random weights, two layers of 128, through transformers."""

    def __init__(self) -> None:
        super().__init__()
        from transformers import BertConfig, BertModel

        self.bert = BertModel(
            BertConfig(
                vocab_size=500,
                hidden_size=128,
                num_hidden_layers=2,
                num_attention_heads=4,
                intermediate_size=256,
            ),
            add_pooling_layer=False,
        )

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.bert(x).last_hidden_state.mean(1)
        return found


class TwoModal(nn.Module):
    """Two encoders, a head each, and a fusion head on both."""

    def __init__(self, encoders: tuple[nn.Module, nn.Module], features: tuple[int, int]) -> None:
        super().__init__()
        self.first, self.second = encoders
        self.first_head, self.second_head = (nn.Linear(size, CLASSES) for size in features)
        self.fused = nn.Linear(sum(features), CLASSES)

    def forward(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Logits of each source."""
        a, b = self.first(x), self.second(y)
        fused = self.fused(torch.cat([a, b], 1))
        return {"fusion": fused, "first": self.first_head(a), "second": self.second_head(b)}

    def partition(self) -> ModalityPartition:
        """Each head belongs to its modality."""
        own = {"first": [self.first, self.first_head], "second": [self.second, self.second_head]}
        return ModalityPartition(own, shared=[self.fused], model=self)


@dataclass(frozen=True)
class Problem:
    """A network with one batch.

    Attributes:
        network: In training mode.
        inputs: Of both modalities.
        targets: Classes.
    """

    network: TwoModal
    inputs: tuple[Tensor, Tensor]
    targets: Tensor

    def losses(self) -> dict[str, Tensor]:
        """One loss a sample and source, [N], of a new forward pass."""
        logits = self.network(*self.inputs)
        return {s: cross_entropy(z, self.targets, reduction="none") for s, z in logits.items()}


def _series(batch: int) -> Problem:
    network = TwoModal((series_encoder(), series_encoder()), (64, 64))
    return _problem(network, (torch.randn(batch, 3, 200), torch.randn(batch, 3, 200)))


def _wide(batch: int) -> Problem:
    network = TwoModal((wide_encoder(), wide_encoder()), (512, 512))
    return _problem(network, (torch.randn(batch, 200), torch.randn(batch, 200)))


def _resnets(batch: int) -> Problem:
    network = TwoModal((resnet18(), resnet18()), (512, 512))
    return _problem(network, (torch.randn(batch, 3, 32, 32), torch.randn(batch, 3, 32, 32)))


def _transformer(batch: int) -> Problem:
    network = TwoModal((TextTransformer(), picture_encoder()), (128, 64))
    return _problem(network, (torch.randint(500, (batch, 32)), torch.randn(batch, 3, 16, 16)))


def _recurrent(batch: int) -> Problem:
    network = TwoModal(
        (Recurrent(), nn.Sequential(nn.Linear(40, 128), nn.ReLU(), nn.Linear(128, 64))), (128, 64)
    )
    return _problem(network, (torch.randn(batch, 50, 16), torch.randn(batch, 40)))


def _bert(batch: int) -> Problem:
    network = TwoModal((Bert(), picture_encoder()), (128, 64))
    return _problem(network, (torch.randint(500, (batch, 32)), torch.randn(batch, 3, 16, 16)))


def _problem(network: TwoModal, inputs: tuple[Tensor, Tensor]) -> Problem:
    return Problem(network.train(), inputs, torch.randint(CLASSES, (len(inputs[0]),)))


PROBLEMS: Final[Mapping[str, tuple[Callable[[int], Problem], int]]] = {
    "Conv1d with BatchNorm, 49 k, batch 64": (_series, 64),
    "MLP with BatchNorm, 1.3 M, batch 64": (_wide, 64),
    "MLP with BatchNorm, 1.3 M, batch 256": (_wide, 256),
    "two ResNet-18, 22 M, batch 16": (_resnets, 16),
    "transformer with dropout + CNN, batch 32": (_transformer, 32),
    "LSTM + MLP, batch 32": (_recurrent, 32),
    "Hugging Face BERT + CNN, batch 16": (_bert, 16),
}
"""Name -> what makes the problem, and its batch size."""
