"""ResNet-18 as an encoder of pictures, frames and spectrograms (He et al. 2016, arXiv 1512.03385)."""

from typing import Final, final

from jaxtyping import Float
from torch import Tensor, nn

FEATURES: Final = 512
"""Width of what the encoder returns."""

_STAGES: Final = ((64, 1), (128, 2), (256, 2), (512, 2))  # channels, and stride of the first block


@final
class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions, added to the input, which is projected by 1 x 1 if its shape changes.

    Args:
        inside: Channels of the input.
        outside: Channels of the output.
        stride: Of the first convolution and of the projection.
    """

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(inside, outside, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(outside),
            nn.ReLU(),
            nn.Conv2d(outside, outside, 3, padding=1, bias=False),
            nn.BatchNorm2d(outside),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inside != outside:
            convolution = nn.Conv2d(inside, outside, 1, stride, bias=False)
            self.shortcut = nn.Sequential(convolution, nn.BatchNorm2d(outside))

    def forward(self, x: Float[Tensor, "N A H W"]) -> Float[Tensor, "N B h w"]:
        """Return ReLU(residual + shortcut), with height and width divided by the stride, rounded up."""
        total: Tensor = self.residual(x) + self.shortcut(x)
        return total.relu()


@final
class ResNet18(nn.Module):
    """Four stages of two residual blocks; then the mean over pixels, and over frames if there are several.

    Convolutions start from He's normal initialisation by the number of outputs (fan out), BatchNorm from
    weight 1 and bias 0: the initialisation of the released code of OGM-GE. Without the last linear layer it
    has 11,176,512 parameters for 3 channels, and 3,136 fewer for each channel less.

    Args:
        channels: Of the input: 1 for a spectrogram, 3 for a picture.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        blocks: list[nn.Module] = []
        inside = 64
        for outside, stride in _STAGES:
            blocks += [ResidualBlock(inside, outside, stride), ResidualBlock(outside, outside, 1)]
            inside = outside
        self.stages = nn.Sequential(*blocks)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(
        self, x: Float[Tensor, "N channels H W"] | Float[Tensor, "N channels T H W"]
    ) -> Float[Tensor, "N 512"]:
        """Encode pictures, or clips of T frames; BatchNorm treats each frame as a sample."""
        several = x.ndim == 5
        frames = x.transpose(1, 2).flatten(0, 1) if several else x
        features: Tensor = self.stages(self.stem(frames)).mean(dim=(-2, -1))
        return features.unflatten(0, (len(x), -1)).mean(dim=1) if several else features
