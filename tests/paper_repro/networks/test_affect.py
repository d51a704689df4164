import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bogc.errors import DataError, RangeError
from bogc.gradients import FUSION
from bogc.methods.cggm import CGGM
from bogc.methods.cggm_released import ReleasedCGGM
from bogc.methods.tasks import SENTIMENT
from paper_repro.networks.affect import (
    AffectClassifier,
    AffectNetwork,
    Dropouts,
    SelfAttentionLayer,
    SequenceEncoder,
    sinusoids,
)


@given(st.integers(1, 9), st.integers(4, 11))
def test_positions_are_the_stated_waves(length: int, width: int):
    found = sinusoids(length, width)
    assert found.shape == (length, width)
    half = width // 2
    for position in range(length):
        for k in range(half):
            angle = (position + 1) * 10_000 ** (-k / (half - 1))
            assert math.isclose(float(found[position, k]), math.sin(angle), abs_tol=1e-9)
            assert math.isclose(float(found[position, half + k]), math.cos(angle), abs_tol=1e-9)
        assert width % 2 == 0 or found[position, -1] == 0


def slow_layer(layer: SelfAttentionLayer, x: torch.Tensor) -> torch.Tensor:
    """One sample [T, width], head by head and time by time."""
    times, width = x.shape
    heads = layer.attention.num_heads
    size = width // heads
    normed = layer.attention_norm(x)
    mixed = normed @ layer.attention.in_proj_weight.T + layer.attention.in_proj_bias
    query, key, value = mixed.split(width, dim=1)
    rows = []
    for time in range(times):
        parts = []
        for head in range(heads):
            own = slice(head * size, (head + 1) * size)
            scores = torch.stack([(query[time, own] * key[s, own]).sum() for s in range(times)])
            parts.append((scores / math.sqrt(size)).softmax(0) @ value[:, own])
        rows.append(layer.attention.out_proj(torch.cat(parts)))
    x = x + torch.stack(rows)
    return x + layer.contract(layer.expand(layer.norm(x)).relu())


def test_a_layer_is_attention_and_a_perceptron_with_residuals():
    torch.manual_seed(0)
    layer = SelfAttentionLayer(6, 3, Dropouts())
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    x = torch.randn(2, 4, 6)
    torch.testing.assert_close(layer(x), torch.stack([slow_layer(layer, sample) for sample in x]))


def test_an_encoder_scales_adds_positions_and_ends_in_a_norm():
    torch.manual_seed(0)
    encoder = SequenceEncoder(8, 2, 2, Dropouts()).eval()
    x = torch.randn(3, 5, 8)
    y = math.sqrt(8) * x + sinusoids(5, 8)
    for layer in encoder.layers:
        y = layer(y)
    torch.testing.assert_close(encoder(x), encoder.norm(y))


def test_dropout_acts_in_training_alone():
    torch.manual_seed(0)
    encoder = SequenceEncoder(8, 2, 1, Dropouts(0.5, 0.5, 0.5, 0.5))
    x = torch.randn(2, 3, 8)
    assert not torch.equal(encoder(x), encoder(x))
    encoder.eval()
    torch.testing.assert_close(encoder(x), encoder(x))


def test_it_can_be_differentiated_twice():
    torch.manual_seed(0)
    encoder = SequenceEncoder(8, 2, 1, Dropouts())
    x = torch.randn(2, 3, 8, requires_grad=True)
    (gradient,) = torch.autograd.grad(encoder(x).pow(2).sum(), x, create_graph=True)
    gradient.pow(2).sum().backward()
    assert all(p.grad is not None for p in encoder.layers.parameters())


def test_sizes_and_probabilities_out_of_range_are_refused():
    with pytest.raises(RangeError, match="heads must divide the width, 8; found 3"):
        SequenceEncoder(8, 3, 1, Dropouts())
    with pytest.raises(RangeError, match="layers must be at least 1; found 0"):
        SequenceEncoder(8, 2, 0, Dropouts())
    with pytest.raises(RangeError, match=r"residual must lie in \[0, 1\); found 1"):
        Dropouts(residual=1.0)
    with pytest.raises(RangeError, match="width must be at least 4; found 3"):
        sinusoids(2, 3)


WIDTHS = {"text": 6, "audio": 4, "vision": 5}
TIMES = {"text": 3, "audio": 7, "vision": 4}


def network(outputs: int = 1) -> AffectNetwork:
    torch.manual_seed(0)
    return AffectNetwork(WIDTHS, outputs, width=8, heads=2, layers=3, dropouts=Dropouts())


def batch(samples: int = 5) -> dict[str, torch.Tensor]:
    return {m: torch.randn(samples, width, TIMES[m]) for m, width in WIDTHS.items()}


@pytest.mark.parametrize("outputs", [1, 4])
def test_every_modality_keeps_its_length_and_the_prediction_has_none(outputs: int):
    found = network(outputs)(batch())
    assert found.fused.shape == (5, outputs)
    assert {m: tuple(f.shape) for m, f in found.features.items()} == {m: (5, t, 8) for m, t in TIMES.items()}
    assert found.unimodal == {}


def test_the_prediction_is_made_from_the_first_time_of_all_sequences_together():
    model, inputs = network(4), batch()
    found = model(inputs)
    together = torch.cat([found.features[m] for m in WIDTHS], dim=1)
    start = model.fusion(together)[:, 0]
    hidden = torch.relu(start @ model.first.weight.T + model.first.bias)
    summary = start + hidden @ model.second.weight.T + model.second.bias
    torch.testing.assert_close(found.fused, summary @ model.output.weight.T + model.output.bias)


def test_layers_are_those_of_the_released_code():
    model = network()
    assert [len(encoder.layers) for encoder in model.encoders.values()] == [3, 3, 3]
    assert len(model.fusion.layers) == 1
    released = AffectNetwork({"text": 300}, 1, 40, 5, 5, Dropouts())
    layer = 3 * 40 * 41 + 40 * 41 + 160 * 41 + 40 * 161 + 4 * 40
    assert sum(p.numel() for p in released.encoders["text"].parameters()) == 5 * layer + 80
    assert sum(p.numel() for p in released.fusion.parameters()) == 3 * layer + 80


def test_only_encoders_belong_to_a_modality():
    model = network()
    blocks = {block.modality: 0 for block in model.partition().blocks}
    for block in model.partition().blocks:
        blocks[block.modality] += sum(p.numel() for p in block.parameters)
    encoder = sum(p.numel() for p in model.encoders["audio"].parameters())
    assert (blocks["text"], blocks["audio"], blocks["vision"]) == (encoder, encoder, encoder)
    assert blocks["shared"] == sum(p.numel() for p in model.parameters()) - 3 * encoder


def test_a_missing_modality_leaves_its_times_out_and_an_unknown_one_is_refused():
    model, inputs = network(), batch()
    del inputs["audio"]
    assert set(model(inputs).features) == {"text", "vision"}
    with pytest.raises(DataError, match=r"unknown \['smell'\]"):
        model({"smell": torch.zeros(2, 3, 4)})


def test_the_classifier_uses_one_hidden_layer_twice():
    torch.manual_seed(0)
    classifier = AffectClassifier(8, 2, 2, 1, Dropouts())
    features = torch.randn(5, 3, 8)
    start = classifier.encoder(features)[:, 0]
    twice = classifier.hidden(classifier.hidden(start)).relu()
    torch.testing.assert_close(classifier(features), classifier.output(twice))


@pytest.mark.parametrize("released", [False, True])
def test_both_spellings_of_cggm_train_it(released: bool):
    model = network()
    classifiers = torch.nn.ModuleDict({m: AffectClassifier(8, 1, 2, 1, Dropouts()) for m in WIDTHS})
    optimiser = torch.optim.Adam(classifiers.parameters(), 1e-3)
    arguments = (model.partition(), classifiers, optimiser)
    balancer = (
        ReleasedCGGM(*arguments, model.weights, task=SENTIMENT)
        if released
        else CGGM(*arguments, task=SENTIMENT)
    )
    for _ in range(3):
        outputs, scores = model(batch()), torch.randn(5)
        loss = (outputs.fused.flatten() - scores).abs()
        balancer.backward({FUSION: loss}, outputs, scores)
    assert all(p.grad is not None for p in model.parameters())
