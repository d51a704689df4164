"""What the loops of this folder share: a network of three modalities, its data, its losses."""

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from bogc import BOGC, ModalityPartition
from bogc.data import load_dataset

MODALITIES = ("strong", "weak", "faint")


class Network(nn.Module):
    """An encoder and a head a modality, and a head on all features together."""

    def __init__(self, width: int = 20, features: int = 16, classes: int = 4) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(
            {m: nn.Sequential(nn.Linear(width, features), nn.ReLU()) for m in MODALITIES}
        )
        self.heads = nn.ModuleDict({m: nn.Linear(features, classes) for m in MODALITIES})
        self.fusion = nn.Linear(len(MODALITIES) * features, classes)

    def forward(self, inputs: list[Tensor]) -> dict[str, Tensor]:
        """Logits [N, classes] of each source."""
        features = {m: self.encoders[m](x) for m, x in zip(MODALITIES, inputs, strict=True)}
        unimodal = {m: self.heads[m](f) for m, f in features.items()}
        return {"fusion": self.fusion(torch.cat(list(features.values()), dim=1)), **unimodal}


def balancer_of(network: Network) -> BOGC:
    """Say which modules belong to which modality, and how many samples batches are drawn from."""
    owned = {m: [network.encoders[m], network.heads[m]] for m in MODALITIES}
    samples = len(load_dataset("synthetic"))
    return BOGC(ModalityPartition(owned, shared=[network.fusion], model=network), samples=samples)


def losses_of(logits: dict[str, Tensor], targets: Tensor) -> dict[str, Tensor]:
    """One loss a sample and source, unreduced and in float32, whatever the forward pass computed in."""
    return {s: functional.cross_entropy(z.float(), targets, reduction="none") for s, z in logits.items()}


def loader(seed: int, batch_size: int = 100) -> "DataLoader[tuple[Tensor, ...]]":
    """Three modalities and the class; the order of the batches depends on ``seed`` alone."""
    data = load_dataset("synthetic")
    samples = TensorDataset(*(data.inputs[m] for m in MODALITIES), data.targets)
    generator = torch.Generator().manual_seed(seed)
    return DataLoader(samples, batch_size, shuffle=True, generator=generator)


def made(seed: int) -> tuple[Network, BOGC]:
    """A network with initial weights drawn with ``seed``, and its balancer."""
    torch.manual_seed(seed)
    network = Network()
    return network, balancer_of(network)
