"""A regression from two sensors, with squared errors in the place of the cross-entropy.

    $ python examples/regression.py

The data are made here. Two numbers are to be told, a position and a speed; the camera shows the position well
and the speed badly, the radar the other way round. A loss is one number a sample: the mean over what is told.
"""

import torch
from torch import Tensor, nn

from bogc import BOGC, ModalityPartition

STEPS, BATCH, SAMPLES = 150, 64, 1024


def make_data(count: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Camera [N, 20], radar [N, 12] and target [N, 2]; the sensors are the same for every seed."""
    sensors = torch.Generator().manual_seed(0)
    camera_sees, radar_sees = torch.randn(2, 20, generator=sensors), torch.randn(2, 12, generator=sensors)
    draws = torch.Generator().manual_seed(seed)
    target = torch.randn(count, 2, generator=draws)
    camera = (target * torch.tensor([1.0, 0.2])) @ camera_sees + torch.randn(count, 20, generator=draws)
    radar = (target * torch.tensor([0.2, 1.0])) @ radar_sees + torch.randn(count, 12, generator=draws)
    return camera, radar, target


class Sensors(nn.Module):
    """An encoder and a head for each sensor, and a head on both."""

    def __init__(self, width: int = 32, told: int = 2) -> None:
        super().__init__()
        self.camera = nn.Sequential(nn.Linear(20, width), nn.ReLU())
        self.radar = nn.Sequential(nn.Linear(12, width), nn.ReLU())
        self.camera_head, self.radar_head = nn.Linear(width, told), nn.Linear(width, told)
        self.fusion = nn.Linear(2 * width, told)

    def forward(self, camera: Tensor, radar: Tensor) -> dict[str, Tensor]:
        """Predictions [N, 2] of each source."""
        c, r = self.camera(camera), self.radar(radar)
        fused = self.fusion(torch.cat([c, r], 1))
        return {"fusion": fused, "camera": self.camera_head(c), "radar": self.radar_head(r)}


def losses_of(predictions: dict[str, Tensor], target: Tensor) -> dict[str, Tensor]:
    """Squared errors: [N, 2] of each source, reduced over what is told and not over samples, to [N]."""
    return {name: (found - target).square().mean(1) for name, found in predictions.items()}


def main() -> None:
    """Train, and print what the last step believed of each layer."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    *inputs, target = make_data(SAMPLES, seed=1)
    network = Sensors()
    owned = {"camera": [network.camera, network.camera_head], "radar": [network.radar, network.radar_head]}
    partition = ModalityPartition(owned, shared=network.fusion, model=network)
    balancer = BOGC(partition, samples=SAMPLES)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.02, momentum=0.9)

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
    *inputs, target = make_data(2048, seed=2)
    with torch.no_grad():
        for name, found in network(*inputs).items():
            position, speed = (found - target).square().mean(0)
            print(f"squared error of {name} on new samples: position {position:.3f}, speed {speed:.3f}")


if __name__ == "__main__":
    main()
