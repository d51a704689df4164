import pytest
import torch

from bogc.balancing.cggm import CGGM
from bogc.balancing.cggm_released import ReleasedCGGM
from bogc.balancing.tasks import SENTIMENT
from bogc.errors import DataError
from bogc.gradients import FUSION
from bogc.models.affect import AffectClassifier, AffectNetwork
from bogc.models.transformer import Dropouts

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
