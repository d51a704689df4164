"""Three modalities of which one is missing from some batches, and from some samples of others.

    $ python examples/missing_modality.py

A modality that a whole batch lacks is left out of ``losses``; where some samples lack it, its loss is over
those that have it, and its feature is zero for the others. The data are made here; all three show the class.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bogc import BOGC, ModalityPartition

STEPS, BATCH, SAMPLES, CLASSES = 150, 64, 1024, 4
WIDTHS = {"audio": 20, "video": 30, "text": 10}
CLARITY = {"audio": 0.6, "video": 0.4, "text": 0.5}


def make_data(count: int, seed: int) -> tuple[dict[str, Tensor], Tensor]:
    """Inputs [N, width] by modality and classes [N]; what a class looks like is the same for every seed."""
    looks, draws = torch.Generator().manual_seed(0), torch.Generator().manual_seed(seed)
    target = torch.randint(CLASSES, (count,), generator=draws)
    inputs = {}
    for name, width in WIDTHS.items():
        centres = torch.randn(CLASSES, width, generator=looks) * CLARITY[name]
        inputs[name] = centres[target] + torch.randn(count, width, generator=draws)
    return inputs, target


class Three(nn.Module):
    """An encoder and a head for each modality, and a head on all, in which a missing feature is zero."""

    def __init__(self, features: int = 16) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(
            {m: nn.Sequential(nn.Linear(width, features), nn.ReLU()) for m, width in WIDTHS.items()}
        )
        self.heads = nn.ModuleDict({m: nn.Linear(features, CLASSES) for m in WIDTHS})
        self.fusion = nn.Linear(len(WIDTHS) * features, CLASSES)

    def forward(self, inputs: dict[str, Tensor], has: dict[str, Tensor]) -> dict[str, Tensor]:
        """Logits [N, classes] of each source; ``has``, bool [N], says which samples have a modality."""
        features = {m: self.encoders[m](x) * has[m].unsqueeze(1) for m, x in inputs.items()}
        fused = self.fusion(torch.cat(list(features.values()), 1))
        return {"fusion": fused} | {m: self.heads[m](f) for m, f in features.items()}


def losses_of(logits: dict[str, Tensor], has: dict[str, Tensor], target: Tensor) -> dict[str, Tensor]:
    """Losses [n] of each source over the n samples that have it; a source that none has is absent."""
    losses = {"fusion": cross_entropy(logits["fusion"], target, reduction="none")}
    for m, present in has.items():
        if present.any():
            losses[m] = cross_entropy(logits[m][present], target[present], reduction="none")
    return losses


def main() -> None:
    """Train, and print what the last step believed, and what is left of the accuracy without a modality."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    inputs, target = make_data(SAMPLES, seed=1)
    network = Three()
    owned = {m: [network.encoders[m], network.heads[m]] for m in WIDTHS}
    balancer = BOGC(ModalityPartition(owned, shared=network.fusion, model=network), samples=SAMPLES)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)

    absent, before = 0, {}
    for step in range(STEPS):
        chosen = torch.randperm(SAMPLES)[:BATCH]
        has = {m: torch.ones(BATCH, dtype=torch.bool) for m in WIDTHS}
        has["text"] &= step % 3 > 0  # no sample of every third batch has text
        has["video"] &= torch.rand(BATCH) > 0.2  # one sample in five has no video
        logits = network({m: x[chosen] for m, x in inputs.items()}, has)
        losses = losses_of(logits, has, target[chosen])
        optimizer.zero_grad()
        info = balancer.backward(losses)
        optimizer.step()
        absent += "text" not in info.losses
        before = {name: float(loss) for name, loss in info.losses.items()} | before

    print(f"text was missing from {absent} of {STEPS} batches")
    print(f"{'layer':18} {'loss':8} {'u':>5} {'weight':>7}")
    for layer, seen in info.summary().items():
        for name, u in seen["uncertainty"].items():
            print(f"{layer:18} {name:8} {u:5.2f} {seen['weight'][name]:7.2f}")
    for name, loss in info.losses.items():
        print(f"{name} loss: {before[name]:.3f} before, {loss:.3f} after")
    inputs, target = make_data(2048, seed=2)
    for missing in (None, *WIDTHS):
        has = {m: torch.full((len(target),), m != missing) for m in WIDTHS}
        right = network(inputs, has)["fusion"].argmax(1) == target
        given = f"without {missing}" if missing else "with all three"
        print(f"accuracy on new samples {given}: {right.float().mean():.2f}")


if __name__ == "__main__":
    main()
