"""A recurrent network for a series beside a perceptron for a table, as in patient records.

    $ python examples/series_table.py

The data are made here. A heartbeat is regular or not, and three of a table's ten laboratory values are low or
high: four classes. The series have different lengths; the state after the last real step counts.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bogc import BOGC, ModalityPartition

STEPS, BATCH, SAMPLES, LENGTH = 100, 64, 1024, 24


def make_data(count: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Series [N, 24, 1], their lengths [N], tables [N, 10] and classes 0 to 3 [N]."""
    irregular, high = torch.randint(2, (count,)), torch.randint(2, (count,))
    lengths = torch.randint(LENGTH // 2, LENGTH + 1, (count,))
    beat = (torch.arange(LENGTH) % 4 == 0).float() * 2
    series = beat + torch.randn(count, LENGTH) * 0.3
    shuffled = torch.stack([row[torch.randperm(LENGTH)] for row in series])
    series = torch.where(irregular.bool().unsqueeze(1), shuffled, series)
    table = torch.randn(count, 10)
    table[:, :3] += 1.5 * high.unsqueeze(1) - 0.75
    return series.unsqueeze(2), lengths, table, 2 * irregular + high


class Recurrent(nn.Module):
    """An LSTM whose output at the last real step is the feature: [N, T, 1], [N] -> [N, 24]."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.cell = nn.LSTM(1, width, batch_first=True)

    def forward(self, series: Tensor, lengths: Tensor) -> Tensor:
        """Feature of each series."""
        states, _ = self.cell(series)
        return states[torch.arange(len(series)), lengths - 1]


class SeriesTable(nn.Module):
    """An encoder and a head for each modality, and a head on both."""

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.series = Recurrent()
        self.table = nn.Sequential(nn.Linear(10, 24), nn.ReLU(), nn.Linear(24, 24), nn.ReLU())
        self.series_head, self.table_head = nn.Linear(24, classes), nn.Linear(24, classes)
        self.fusion = nn.Linear(48, classes)

    def forward(self, series: Tensor, lengths: Tensor, table: Tensor) -> dict[str, Tensor]:
        """Logits [N, classes] of each source."""
        s, t = self.series(series, lengths), self.table(table)
        fused = self.fusion(torch.cat([s, t], 1))
        return {"fusion": fused, "series": self.series_head(s), "table": self.table_head(t)}


def main() -> None:
    """Train, and print what the last step believed of each layer."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    *inputs, target = make_data(SAMPLES)
    network = SeriesTable()
    owned = {"series": [network.series, network.series_head], "table": [network.table, network.table_head]}
    partition = ModalityPartition(owned, shared=network.fusion, model=network)
    balancer = BOGC(partition, samples=SAMPLES)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01)

    for step in range(STEPS):
        chosen = torch.randperm(SAMPLES)[:BATCH]
        logits = network(*(x[chosen] for x in inputs))
        losses = {name: cross_entropy(z, target[chosen], reduction="none") for name, z in logits.items()}
        optimizer.zero_grad()
        info = balancer.backward(losses)
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)  # after backward, before the optimiser
        optimizer.step()
        if step == 0:
            before = {name: float(loss) for name, loss in info.losses.items()}

    print(f"{'layer':14} {'loss':8} {'u':>5} {'weight':>7}")
    for layer, seen in info.summary().items():
        for name, u in seen["uncertainty"].items():
            print(f"{layer:14} {name:8} {u:5.2f} {seen['weight'][name]:7.2f}")
    for name, loss in info.losses.items():
        print(f"{name} loss: {before[name]:.3f} before, {loss:.3f} after")
    *inputs, target = make_data(512)
    right = network(*inputs)["fusion"].argmax(1) == target
    print(f"accuracy on new samples: {right.float().mean():.2f}")


if __name__ == "__main__":
    main()
