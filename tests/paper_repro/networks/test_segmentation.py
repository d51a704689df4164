import math

import pytest
import torch
from torch import nn

from bogc.errors import DataError, RangeError
from bogc.gradients import FUSION
from bogc.methods.cggm import CGGM
from bogc.methods.cggm_released import ReleasedCGGM
from paper_repro.networks.segmentation import (
    Bottleneck,
    DeepLabDecoder,
    DeepLabEncoder,
    Pyramid,
    SegmentationClassifier,
    SegmentationNetwork,
    Sizes,
)

TINY = Sizes(width=2, depths=(1, 2, 1), features=6, early=3)


def test_the_full_encoder_is_a_resnet_101_with_a_pyramid():
    with torch.device("meta"):
        encoder = DeepLabEncoder(Sizes())
    residual = sum(
        p.numel() for part in (encoder.stem, encoder.early, encoder.later) for p in part.parameters()
    )
    # a ResNet-101 has 44,549,160, of which 2,049,000 in its last layer, and 2 more channels in its first
    assert residual == 44_549_160 - 2_049_000 - 2 * 64 * 49
    blocks = [m for m in encoder.modules() if isinstance(m, Bottleneck)]
    assert len(blocks) == 3 + 4 + 23 + 3
    dilations = [b.residual[2][0].dilation[0] for b in blocks]
    assert dilations == [1] * 30 + [2, 4, 8]
    strides = [b.residual[2][0].stride[0] for b in blocks]
    assert [index for index, stride in enumerate(strides) if stride == 2] == [3, 7]


def test_features_are_a_quarter_of_the_picture_and_seen_at_a_sixteenth():
    torch.manual_seed(0)
    encoder = DeepLabEncoder(TINY)
    x = torch.randn(2, 1, 48, 32)
    assert encoder.early(encoder.stem(x)).shape == (2, 8, 12, 8)
    assert encoder.later(encoder.early(encoder.stem(x))).shape == (2, 64, 3, 2)
    encoder.eval()
    found = encoder(x)
    assert found.shape == (2, TINY.encoded, 12, 8)
    torch.testing.assert_close(found[:, 6:], encoder.early(encoder.stem(x)))


def test_convolutions_start_from_hes_initialisation():
    torch.manual_seed(0)
    encoder = DeepLabEncoder(Sizes(width=16, depths=(1, 1, 1), features=64))
    block = encoder.later[0][0].residual[2][0].weight  # 3 x 3, 32 to 32: fan out 288
    wide = encoder.pyramid.branches[1][0][0].weight  # 3 x 3, 512 to 64: fan in 4608
    # relative standard error of a deviation from n numbers: (2 n) ** -.5; five of them
    for weight, fan in ((block, 288), (wide, 4608)):
        tolerance = 5 / math.sqrt(2 * weight.numel())
        assert abs(float(weight.detach().std()) * math.sqrt(fan / 2) - 1) < tolerance


def test_the_pyramid_adds_the_mean_over_all_pixels():
    torch.manual_seed(0)
    pyramid = Pyramid(4, 3).eval()
    x = torch.randn(2, 4, 5, 5)
    branches = [branch(x) for branch in pyramid.branches]
    mean = pyramid.whole(x.mean((2, 3), keepdim=True)).expand(2, 3, 5, 5)
    torch.testing.assert_close(pyramid(x), pyramid.mix(torch.cat([*branches, mean], 1)))
    assert [branch[0][0].dilation[0] for branch in pyramid.branches] == [1, 2, 4, 6]


def test_the_decoder_reads_both_parts_of_every_encoder():
    torch.manual_seed(0)
    decoder = DeepLabDecoder(TINY, 2, 4).eval()
    encoded = [torch.randn(2, TINY.encoded, 6, 5, requires_grad=True) for _ in range(2)]
    logits = decoder(encoded, (24, 20))
    assert logits.shape == (2, 4, 24, 20)
    gradients = torch.autograd.grad(logits.sum(), encoded)
    assert all(bool((g.abs().sum((0, 2, 3)) > 0).all()) for g in gradients)
    # a linear layer at every pixel is a 1 x 1 convolution
    features = decoder.body(
        torch.cat(
            [encoded[0][:, :6], encoded[1][:, :6], decoder.early(torch.cat([e[:, 6:] for e in encoded], 1))],
            1,
        )
    )
    convolved = nn.functional.conv2d(features, decoder.output.weight[..., None, None], decoder.output.bias)
    torch.testing.assert_close(decoder(encoded, (6, 5)), convolved)


def test_sizes_out_of_range_are_refused():
    with pytest.raises(RangeError, match="width must be at least 1; found 0"):
        Sizes(width=0)
    with pytest.raises(RangeError, match="depths must be at least 1; found 0"):
        Sizes(depths=(1, 0, 1))


SMALL = Sizes(width=1, depths=(1, 1, 1), features=3, early=2)
NAMES = ("flair", "t1")


def network() -> SegmentationNetwork:
    torch.manual_seed(0)
    return SegmentationNetwork(NAMES, 4, SMALL)


def pictures() -> dict[str, torch.Tensor]:
    return {m: torch.randn(3, 1, 32, 32) for m in NAMES}


def test_every_pixel_gets_logits_and_features_are_what_classifiers_read():
    found = network()(pictures())
    assert found.fused.shape == (3, 4, 32, 32)
    assert {m: tuple(f.shape) for m, f in found.features.items()} == dict.fromkeys(NAMES, (3, 7, 8, 8))
    assert SegmentationClassifier(4, SMALL, 32)(found.features["t1"]).shape == (3, 4, 32, 32)


def test_zeros_stand_in_for_absent_features_and_unknown_pictures_are_refused():
    model, inputs = network().eval(), pictures()
    found = model({"t1": inputs["t1"]})
    features = found.features["t1"]
    torch.testing.assert_close(found.fused, model.decoder([torch.zeros_like(features), features], (32, 32)))
    with pytest.raises(DataError, match=r"unknown \['t2'\]"):
        model({"t2": inputs["t1"]})


@pytest.mark.parametrize("released", [False, True])
def test_both_spellings_of_cggm_train_it(released: bool):
    model = network()
    classifiers = torch.nn.ModuleDict({m: SegmentationClassifier(4, SMALL, 32) for m in NAMES})
    optimiser = torch.optim.SGD(classifiers.parameters(), 1e-3)
    arguments = (model.partition(), classifiers, optimiser)
    balancer = ReleasedCGGM(*arguments, model.weights, clip=0) if released else CGGM(*arguments)
    for _ in range(2):
        outputs, classes = model(pictures()), torch.randint(0, 4, (3, 32, 32))
        loss = torch.nn.functional.cross_entropy(outputs.fused, classes, reduction="none").mean((1, 2))
        balancer.backward({FUSION: loss}, outputs, classes)
    assert all(p.grad is not None for p in model.parameters())
