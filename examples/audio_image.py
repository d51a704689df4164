"""Two small ResNets, one for sound and one for pictures, trained together.

    $ python examples/audio_image.py

The data are made here. A class is a pitch and a place: the spectrogram shows one of two pitches, the picture
a square in one of two places. Each alone is right in one case of two at best, a loss of log 2 = 0.69 on new
samples; fused, they tell all four classes.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bogc import BOGC, ModalityPartition

STEPS, BATCH, SAMPLES = 40, 64, 512


def make_data(count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Spectrograms [N, 1, 16, 16], pictures [N, 3, 16, 16] and classes 0 to 3 [N]."""
    pitch, place = torch.randint(2, (count,)), torch.randint(2, (count,))
    audio, image = torch.randn(count, 1, 16, 16), torch.randn(count, 3, 16, 16)
    for i in range(count):
        row, left = 4 + 7 * int(pitch[i]), 2 + 7 * int(place[i])
        audio[i, 0, row : row + 2] += 1.0  # a tone, for as long as the clip
        image[i, :, 5:10, left : left + 5] += 1.5
    return audio, image, 2 * pitch + place


class Residual(nn.Module):
    """A block of two convolutions around which its input is passed on."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, out, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(),
            nn.Conv2d(out, out, 3, padding=1, bias=False),
            nn.BatchNorm2d(out),
        )
        self.skip = nn.Conv2d(channels, out, 1, stride=2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N, channels, H, W] -> [N, out, H/2, W/2]."""
        return torch.relu(self.body(x) + self.skip(x))


class ResNet(nn.Sequential):
    """A small ResNet: [N, channels, 16, 16] -> features [N, 32]."""

    def __init__(self, channels: int) -> None:
        stem = nn.Conv2d(channels, 8, 3, padding=1)
        super().__init__(stem, Residual(8, 16), Residual(16, 32), nn.AdaptiveAvgPool2d(4), nn.Flatten())
        self.append(nn.Linear(32 * 16, 32))


class AudioImage(nn.Module):
    """An encoder and a head for each modality, and a head on both."""

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.audio, self.image = ResNet(1), ResNet(3)
        self.audio_head, self.image_head = nn.Linear(32, classes), nn.Linear(32, classes)
        self.fusion = nn.Linear(64, classes)

    def forward(self, audio: Tensor, image: Tensor) -> dict[str, Tensor]:
        """Logits [N, classes] of each source."""
        a, v = self.audio(audio).relu(), self.image(image).relu()
        fused = self.fusion(torch.cat([a, v], 1))
        return {"fusion": fused, "audio": self.audio_head(a), "image": self.image_head(v)}


def main() -> None:
    """Train, and print what the last step believed of each layer."""
    torch.set_num_threads(1)  # small tensors: several threads would wait for one another
    torch.manual_seed(0)
    audio, image, target = make_data(SAMPLES)
    network = AudioImage()
    owned = {"audio": [network.audio, network.audio_head], "image": [network.image, network.image_head]}
    partition = ModalityPartition(owned, shared=network.fusion, model=network)
    balancer = BOGC(partition, samples=SAMPLES)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.02, momentum=0.9)

    for step in range(STEPS):
        chosen = torch.randperm(SAMPLES)[:BATCH]
        logits = network(audio[chosen], image[chosen])
        losses = {name: cross_entropy(z, target[chosen], reduction="none") for name, z in logits.items()}
        optimizer.zero_grad()
        info = balancer.backward(losses)
        optimizer.step()
        if step == 0:
            before = {name: float(loss) for name, loss in info.losses.items()}

    print(f"{'layer':24} {'loss':8} {'u':>5} {'weight':>7}")
    for layer, seen in info.summary().items():
        for name, u in seen["uncertainty"].items():
            print(f"{layer:24} {name:8} {u:5.2f} {seen['weight'][name]:7.2f}")
    for name, loss in info.losses.items():
        print(f"{name} loss: {before[name]:.3f} before, {loss:.3f} after")
    network.eval()
    *inputs, target = make_data(512)
    right = network(*inputs)["fusion"].argmax(1) == target
    print(f"accuracy on new samples: {right.float().mean():.2f}")


if __name__ == "__main__":
    main()
