import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from paper_repro.networks.resnet import FEATURES, ResidualBlock, ResNet18


@pytest.fixture(scope="module")
def encoder() -> ResNet18:
    torch.manual_seed(0)
    model = ResNet18(3).double()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):  # statistics that a mistake in their order would show
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
    return model.eval()


def expected_parameters(channels: int) -> int:
    """Weights of k x k convolutions, and two numbers a channel for the BatchNorm after each."""
    count = 7 * 7 * channels * 64 + 2 * 64
    for inside, outside in [(64, 64), (64, 128), (128, 256), (256, 512)]:
        count += 9 * inside * outside + 3 * 9 * outside * outside + 4 * 2 * outside
        count += (inside * outside + 2 * outside) * (inside != outside)
    return count


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_has_the_known_number_of_parameters(channels: int):
    found = sum(p.numel() for p in ResNet18(channels).parameters())
    assert found == expected_parameters(channels) == 11_176_512 - 3136 * (3 - channels)


def oracle_block(block: ResidualBlock, x: torch.Tensor, stride: int) -> torch.Tensor:
    """The published block, layer by layer, in evaluation mode."""

    def normed(y: torch.Tensor, norm: nn.BatchNorm2d) -> torch.Tensor:
        mean, var, weight, bias = (
            v.view(-1, 1, 1) for v in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
        )
        return weight * (y - mean) / (var + 1e-5).sqrt() + bias

    first, norm1, _, second, norm2 = block.residual
    y = normed(functional.conv2d(x, first.weight, stride=stride, padding=1), norm1).clamp(min=0)
    y = normed(functional.conv2d(y, second.weight, padding=1), norm2)
    if isinstance(block.shortcut, nn.Sequential):
        x = normed(functional.conv2d(x, block.shortcut[0].weight, stride=stride), block.shortcut[1])
    return (x + y).clamp(min=0)


def test_is_the_published_network(encoder: ResNet18):
    x = torch.randn(2, 3, 50, 37)
    y = encoder.stem(x)
    assert y.shape == (2, 64, 13, 10)
    for block, stride in zip(encoder.stages, [1, 1, 2, 1, 2, 1, 2, 1], strict=True):
        y = oracle_block(block, y, stride)
    torch.testing.assert_close(encoder(x), y.mean(dim=(2, 3)))


def test_a_spectrogram_and_a_picture_give_as_many_features():
    assert ResNet18(1)(torch.randn(2, 1, 65, 48)).shape == (2, FEATURES)
    assert ResNet18(3)(torch.randn(2, 3, 64, 64)).shape == (2, FEATURES)


@settings(max_examples=10)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_a_clip_is_the_mean_of_its_frames(encoder: ResNet18, samples: int, frames: int, seed: int):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(samples, 3, frames, 33, 32, generator=generator)
    expected = torch.stack([encoder(x[:, :, t]) for t in range(frames)]).mean(0)
    torch.testing.assert_close(encoder(x), expected)


def test_batch_norm_sees_each_frame_as_a_sample():
    clips, pictures = ResNet18(3), ResNet18(3)
    pictures.load_state_dict(clips.state_dict())
    x = torch.randn(2, 3, 2, 32, 32)
    frames = torch.stack([x[n, :, t] for n in range(2) for t in range(2)])
    torch.testing.assert_close(clips(x), pictures(frames).view(2, 2, FEATURES).mean(1))
    torch.testing.assert_close(clips.state_dict(), pictures.state_dict())


def test_starts_from_he_by_fan_out():
    torch.manual_seed(1)
    for module in ResNet18(3).modules():
        if isinstance(module, nn.Conv2d):
            deviation = (2 / (module.out_channels * module.kernel_size[0] ** 2)) ** 0.5
            # the relative error of n weights is about 1/sqrt(2n), beyond 5 of these once in 1.7 million
            bound = 5 / (2 * module.weight.numel()) ** 0.5
            assert abs(float(module.weight.detach().std()) / deviation - 1) < bound
        if isinstance(module, nn.BatchNorm2d):
            assert bool((module.weight == 1).all())
            assert bool((module.bias == 0).all())


def test_every_parameter_gets_a_gradient_on_every_device(device: torch.device):
    model = ResNet18(1).to(device, torch.float32)
    model(torch.randn(3, 1, 64, 40, device=device, dtype=torch.float32)).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name
