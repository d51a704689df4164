"""Small encoders, one modality's input to a feature vector; the shape of a sample decides which."""

from collections.abc import Sequence

from torch import Tensor, nn

from bogc.errors import ShapeError


def vector_encoder(width: int, features: int) -> nn.Sequential:
    """[N, width] -> [N, features]: two hidden layers with BatchNorm."""
    return nn.Sequential(
        nn.Linear(width, 2 * features),
        nn.BatchNorm1d(2 * features),
        nn.ReLU(),
        nn.Linear(2 * features, features),
        nn.BatchNorm1d(features),
        nn.ReLU(),
    )


def series_encoder(channels: int, features: int) -> nn.Sequential:
    """[N, channels, time] -> [N, features]: three strided convolutions, then the mean over time."""
    half = features // 2
    return nn.Sequential(
        *_conv(nn.Conv1d(channels, half, 7, stride=2, padding=3, bias=False), nn.BatchNorm1d(half)),
        *_conv(nn.Conv1d(half, features, 5, stride=2, padding=2, bias=False), nn.BatchNorm1d(features)),
        *_conv(nn.Conv1d(features, features, 3, stride=2, padding=1, bias=False), nn.BatchNorm1d(features)),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
    )


def image_encoder(channels: int, features: int) -> nn.Sequential:
    """[N, channels, height, width] -> [N, features]: three strided convolutions, mean over pixels."""
    half = features // 2
    return nn.Sequential(
        *_conv(nn.Conv2d(channels, half, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(half)),
        *_conv(nn.Conv2d(half, features, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(features)),
        *_conv(nn.Conv2d(features, features, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(features)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


def encoder_for(sample: Tensor, features: int) -> nn.Sequential:
    """Return an encoder for samples shaped like ``sample``: [width], [channels, time] or [channels, h, w].

    Raises:
        ShapeError: A sample has another number of axes.
    """
    makers = {1: vector_encoder, 2: series_encoder, 3: image_encoder}
    if sample.ndim not in makers:
        remedy = "Reshape it, or build the encoder yourself and pass it to MultimodalClassifier."
        raise ShapeError("sample", "must have 1, 2 or 3 axes", list(sample.shape), remedy)
    return makers[sample.ndim](sample.shape[0], features)


def _conv(convolution: nn.Module, norm: nn.Module) -> Sequence[nn.Module]:
    return convolution, norm, nn.ReLU()
