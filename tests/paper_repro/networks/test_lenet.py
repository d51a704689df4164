import itertools

import pytest
import torch
from torch import nn

from paper_repro.networks.lenet import PerceptronFusion, av_mnist_experts, lenet


@pytest.mark.parametrize(
    ("channels", "layers", "side", "width"),
    [(3, 4, 28, 24), (3, 6, 112, 96), (6, 4, 28, 48), (6, 6, 112, 192)],
)
def test_widths_are_those_of_the_released_code(channels: int, layers: int, side: int, width: int):
    torch.manual_seed(0)
    encoder = lenet(channels, layers)
    assert encoder(torch.rand(2, 1, side, side)).shape == (2, width)
    assert encoder.eval()(torch.rand(1, 1, side, side)).shape == (1, width)


def test_kernels_are_five_then_three_and_channels_double():
    convolutions = [module for module in lenet(3, 4) if isinstance(module, nn.Conv2d)]
    assert [tuple(c.weight.shape) for c in convolutions] == [
        (3, 1, 5, 5),
        (6, 3, 3, 3),
        (12, 6, 3, 3),
        (24, 12, 3, 3),
    ]
    assert all(c.bias is None for c in convolutions)
    for convolution in convolutions:  # He uniform: variance 2 / fan in, bound sqrt(6 / fan in)
        fan_in = convolution.weight[0].numel()
        assert float(convolution.weight.detach().abs().max()) <= (6 / fan_in) ** 0.5


def test_the_head_is_a_perceptron_and_fills_an_absent_modality_with_zeros():
    torch.manual_seed(0)
    head = PerceptronFusion({"image": 2, "audio": 3}, 4, 5)
    features = {"image": torch.randn(6, 2), "audio": torch.randn(6, 3)}
    hidden = (torch.cat(list(features.values()), 1) @ head.hidden.weight.T + head.hidden.bias).relu()
    torch.testing.assert_close(head(features), hidden @ head.output.weight.T + head.output.bias)
    alone = head({"audio": features["audio"]})
    torch.testing.assert_close(alone, head({"image": torch.zeros(6, 2), "audio": features["audio"]}))
    torch.testing.assert_close(head.slices(features)["audio"], alone)
    assert head.weights()["image"] is head.output.weight


def test_the_product_is_over_three_experts_that_share_nothing():
    torch.manual_seed(0)
    model = av_mnist_experts().eval()
    found = model({"image": torch.rand(2, 1, 28, 28), "audio": torch.rand(2, 1, 112, 112)})
    assert set(found.unimodal) == {"image", "audio", "joint"}
    product = torch.stack([logits.log_softmax(1) for logits in found.unimodal.values()]).sum(0)
    torch.testing.assert_close(found.fused, product.log_softmax(1))
    counts = [sum(p.numel() for p in model.encoders[m].parameters()) for m in ("image", "audio")]

    def convolutional(channels: int, layers: int) -> int:
        widths = [channels * 2**k for k in range(layers)]
        kernels = 25 * channels + sum(9 * a * b for a, b in itertools.pairwise(widths))
        return kernels + 2 * sum(widths)

    assert counts == [convolutional(3, 4) + 25 * 100, convolutional(3, 6) + 97 * 100]
    joint = convolutional(6, 4) + convolutional(6, 6) + 241 * 100 + 101 * 10
    assert sum(p.numel() for p in model.joint.parameters()) == joint
    assert sum(p.numel() for p in model.parameters()) == sum(counts) + 2 * 101 * 10 + joint
