import json

import pytest
import torch

from bogc.calibration import Pipeline
from bogc.errors import StateError
from bogc.gradients import Grouped
from bogc.methods import BOGC, StepInfo
from bogc.posterior import BlockPrior
from tests.networks import PlainNetwork, RichNetwork, losses_of


def info_of(dtype: torch.dtype = torch.float64, without: str | None = None) -> StepInfo:
    network = PlainNetwork().to(dtype)
    balancer = BOGC(network.partition(), Grouped(3), Pipeline(prior=BlockPrior()))
    balancer.backward(losses_of(network, seed=2))
    return balancer.backward(losses_of(network, without=without))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_summary_and_histograms_are_json(dtype):
    info = info_of(dtype)
    assert json.loads(json.dumps(info.summary(), allow_nan=False)) == info.summary()
    assert json.loads(json.dumps(info.histograms(), allow_nan=False)) == info.histograms()


def test_summary_holds_the_means_of_each_block():
    info = info_of()
    summary = info.summary()
    assert summary.keys() == info.blocks.keys()
    for name, block in info.blocks.items():
        found = summary[name]
        for index, (source, opinion) in enumerate(block.opinions.items()):
            assert found["uncertainty"][source] == pytest.approx(opinion.uncertainty.mean().item())
            assert found["belief"][source] == pytest.approx(1 - found["uncertainty"][source])
            assert found["weight"][source] == pytest.approx(block.update.weights[index].mean().item())
        assert sum(found["weight"].values()) == pytest.approx(1)
        assert found["fused_uncertainty"] == pytest.approx(block.fused.uncertainty.mean().item())
        assert found["fused_uncertainty"] <= min(found["uncertainty"].values()) + 1e-12
        assert 0 <= found["conflict"] <= 1
        assert found["conservatism"] == pytest.approx(1 - found["fused_uncertainty"])


def test_a_block_names_the_sources_that_reach_it():
    blocks = info_of().blocks
    assert {name: set(block.opinions) for name, block in blocks.items()} == {
        "image.0": {"fusion", "image"},
        "image_head": {"image"},
        "sound.0": {"fusion", "sound"},
        "sound_head": {"sound"},
        "fused": {"fusion"},
    }
    assert set(info_of(without="sound").blocks) == {"image.0", "image_head", "fused"}


@pytest.mark.parametrize("bins", [1, 7, 20])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_histograms_count_every_dimension_once(bins, dtype):
    info = info_of(dtype)
    histograms = info.histograms(bins)
    assert set(histograms) == {"fusion", "image", "sound", "fused"}
    for source, histogram in histograms.items():
        parts = [
            block.fused if source == "fused" else block.opinions[source]
            for block in info.blocks.values()
            if source == "fused" or source in block.opinions
        ]
        total = sum(part.uncertainty.numel() for part in parts)
        assert len(histogram["uncertainty"]) == bins
        assert sum(histogram["uncertainty"]) == sum(histogram["belief"]) == total
        assert histogram["belief"] == histogram["uncertainty"][::-1]


def test_a_certain_source_lies_in_the_first_bin_of_uncertainty():
    network = PlainNetwork()
    balancer = BOGC(network.partition())
    for _ in range(5):  # the same batch: no noise at all
        info = balancer.backward(losses_of(network))
    assert info.histograms(10)["image"]["uncertainty"][1:] == [0] * 9
    assert info.histograms(10)["image"]["belief"][:-1] == [0] * 9


def test_losses_are_detached_means():
    network = RichNetwork()
    losses = losses_of(network)
    info = BOGC(network.partition()).backward(losses)
    for source, loss in losses.items():
        assert info.losses[source].item() == pytest.approx(loss.mean().item())
        assert not info.losses[source].requires_grad


def test_an_info_is_read_before_the_next_step():
    network = PlainNetwork()
    balancer = BOGC(network.partition())
    for seed in range(5):
        info = balancer.backward(losses_of(network, seed=seed))
    summary = info.summary()
    with pytest.raises(StateError, match=r"info must be that of the last step.*before the next backward"):
        balancer.backward(losses_of(network, seed=6)) and info.summary()
    with pytest.raises(StateError, match="info must be that of the last step"):
        info.histograms()
    assert summary  # what was read stays


def test_the_warm_up_has_no_opinions():
    network = PlainNetwork()
    info = BOGC(network.partition()).backward(losses_of(network))
    assert info.summary() == {}
    assert info.histograms() == {}


def test_of_detaches_losses_and_factors():
    weight = torch.ones(3, requires_grad=True)
    info = StepInfo.of({"fusion": weight.sum()}, {"image": weight.prod()})
    assert (info.losses["fusion"].item(), info.factors["image"].item()) == (3.0, 1.0)
    assert not info.losses["fusion"].requires_grad
    assert not info.factors["image"].requires_grad
    assert StepInfo.of({"fusion": weight.sum()}).factors == {}
    assert info.summary() == {}
