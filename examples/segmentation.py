"""A segmentation from two pictures of one scene, each pixel a class.

    $ python examples/segmentation.py

The data are made here, as of two kinds of scan: a disc shows in one, a bar in the other, and where they are
is to be told pixel by pixel. Losses come pixel by pixel too, [N, H, W]; their mean over a sample's pixels is
what ``backward`` takes: one number a sample.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bogc import BOGC, ModalityPartition

STEPS, BATCH, SAMPLES, SIDE, CLASSES = 60, 16, 256, 16, 3
RARE = torch.tensor([0.2, 1.0, 1.0])  # weight of a pixel by its class: most are background


def make_data(count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Two scans [N, 1, 16, 16] and the class of each pixel [N, 16, 16]: background, disc, bar."""
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    centre = torch.randint(4, SIDE - 4, (2, count, 1, 1))
    disc = (rows - centre[0]).square() + (columns - centre[1]).square() < 9
    top = torch.randint(0, SIDE - 2, (count, 1, 1))
    bar = ((rows >= top) & (rows < top + 2)).expand(count, SIDE, SIDE) & ~disc
    first = disc.float() * 2 + torch.randn(count, SIDE, SIDE)
    second = bar.float() * 2 + torch.randn(count, SIDE, SIDE)
    return first.unsqueeze(1), second.unsqueeze(1), disc.long() + 2 * bar.long()


def encoder(width: int = 12) -> nn.Sequential:
    """A stack of convolutions that keeps the size: [N, 1, H, W] -> [N, width, H, W]."""
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(width, width, 5, padding=2),
        nn.ReLU(),
    )


class TwoScans(nn.Module):
    """An encoder and a head for each scan, and a head on both; heads are convolutions of one pixel."""

    def __init__(self, width: int = 12) -> None:
        super().__init__()
        self.first, self.second = encoder(width), encoder(width)
        self.first_head, self.second_head = nn.Conv2d(width, CLASSES, 1), nn.Conv2d(width, CLASSES, 1)
        self.fusion = nn.Conv2d(2 * width, CLASSES, 1)

    def forward(self, first: Tensor, second: Tensor) -> dict[str, Tensor]:
        """Logits [N, classes, H, W] of each source."""
        a, b = self.first(first), self.second(second)
        fused = self.fusion(torch.cat([a, b], 1))
        return {"fusion": fused, "first": self.first_head(a), "second": self.second_head(b)}


def losses_of(logits: dict[str, Tensor], target: Tensor) -> dict[str, Tensor]:
    """Mean weighted cross-entropy over the pixels of each sample: [N] of each source."""
    pixels = {name: cross_entropy(z, target, RARE, reduction="none") for name, z in logits.items()}
    return {name: loss.flatten(1).mean(1) for name, loss in pixels.items()}


def dice(found: Tensor, target: Tensor, label: int) -> float:
    """Overlap of two regions: twice their intersection over the sum of their sizes."""
    one, other = found == label, target == label
    return float(2 * (one & other).sum() / (one.sum() + other.sum()).clamp_min(1))


def main() -> None:
    """Train, and print what the last step believed of each layer."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    *inputs, target = make_data(SAMPLES)
    network = TwoScans()
    owned = {"first": [network.first, network.first_head], "second": [network.second, network.second_head]}
    partition = ModalityPartition(owned, shared=network.fusion, model=network)
    balancer = BOGC(partition, samples=SAMPLES)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01)

    for step in range(STEPS):
        chosen = torch.randperm(SAMPLES)[:BATCH]
        losses = losses_of(network(*(x[chosen] for x in inputs)), target[chosen])
        optimizer.zero_grad()
        info = balancer.backward(losses)
        optimizer.step()
        if step == 0:
            before = {name: float(loss) for name, loss in info.losses.items()}

    print(f"{'layer':12} {'loss':8} {'u':>5} {'weight':>7}")
    for layer, seen in info.summary().items():
        for name, u in seen["uncertainty"].items():
            print(f"{layer:12} {name:8} {u:5.2f} {seen['weight'][name]:7.2f}")
    for name, loss in info.losses.items():
        print(f"{name} loss: {before[name]:.3f} before, {loss:.3f} after")
    *inputs, target = make_data(64)
    with torch.no_grad():
        found = network(*inputs)["fusion"].argmax(1)
    print(f"Dice on new samples: disc {dice(found, target, 1):.2f}, bar {dice(found, target, 2):.2f}")


if __name__ == "__main__":
    main()
