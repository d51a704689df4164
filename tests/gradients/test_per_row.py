import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from bogc.errors import RangeError, TooFewSamplesError
from bogc.gradients import Block, GradientMoments, ModalityPartition, PerRow, PerSample, per_row
from tests.networks import NETWORKS, PlainNetwork, RichNetwork, losses_of

N = 7


class Apart(nn.Module):
    """Many kinds of layers, in none of which samples meet; words and pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(6, 4, padding_idx=0)
        self.norm = nn.LayerNorm(4)
        self.mix = nn.Linear(4, 4)
        self.words_head = nn.Linear(4, 3)
        self.picture = nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1, groups=2), nn.GroupNorm(2, 4), nn.ReLU(inplace=True),
            nn.Conv2d(4, 4, 3, stride=2), nn.BatchNorm2d(4).eval(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        )  # fmt: skip
        self.picture_head = nn.Linear(4, 3)
        self.fused = nn.Linear(8, 3)
        self.temperature = nn.Parameter(torch.ones(3))

    def losses(self, rows: int = N) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(rows)
        words = torch.randint(6, (rows, 5), generator=generator)
        picture = torch.randn(rows, 2, 8, 8, generator=generator, dtype=self.temperature.dtype)
        targets = torch.randint(3, (rows,), generator=generator)
        a = self.mix(self.norm(self.words(words))).tanh().mean(1)
        b = self.picture(picture)
        logits = {
            "fusion": self.fused(torch.cat([a, b], 1)) * self.temperature,
            "words": self.words_head(a),
            "picture": self.picture_head(b),
        }
        return {s: functional.cross_entropy(z, targets, reduction="none") for s, z in logits.items()}

    def partition(self) -> ModalityPartition:
        modalities = {
            "words": (self.words, self.norm, self.mix, self.words_head),
            "picture": (self.picture, self.picture_head),
        }
        partition = ModalityPartition(modalities, shared=self.fused)
        partition.blocks += (Block("temperature", "shared", (self.temperature,)),)
        return partition


Made = tuple[ModalityPartition, dict[str, Tensor]]


def made(network: nn.Module, losses: Callable[[], dict[str, Tensor]]) -> Made:
    partition = network.partition()
    PerRow().attach(partition)
    return partition, losses()


def assert_moments(actual: GradientMoments, expected: GradientMoments) -> None:
    for name in ("mean", "scatter", "count", "degrees_of_freedom"):
        torch.testing.assert_close(getattr(actual, name), getattr(expected, name), rtol=1e-8, atol=1e-12)


def assert_per_sample(partition: ModalityPartition, losses: dict[str, Tensor]) -> None:
    found = PerRow().estimate(losses, partition.blocks, {})
    expected = PerSample().estimate(losses, partition.blocks, {})
    assert found.keys() == expected.keys()
    for source, estimate in found.items():
        assert estimate.means.keys() == estimate.moments.keys() == expected[source].moments.keys()
        for name, moments in estimate.moments.items():
            assert_moments(moments, expected[source].moments[name])


def fell_back(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the blocks for which passes were made one a sample, filled as it happens."""
    names: list[str] = []
    slow = per_row.sample_moments

    def noting(
        losses: Tensor, blocks: list[Block], chunk: int, vectorize: bool
    ) -> dict[str, GradientMoments]:
        names.extend(block.name for block in blocks)
        return slow(losses, blocks, chunk, vectorize)

    monkeypatch.setattr(per_row, "sample_moments", noting)
    return names


def test_where_samples_do_not_meet_it_is_per_sample(monkeypatch):
    names = fell_back(monkeypatch)
    network = Apart()
    assert_per_sample(*made(network, network.losses))
    assert set(names) == {"temperature"}  # a bare parameter is no layer's


def test_a_plain_network_needs_one_pass_a_source(monkeypatch):
    names = fell_back(monkeypatch)
    network = PlainNetwork()
    assert_per_sample(*made(network, lambda: losses_of(network)))
    assert_per_sample(*made(network, lambda: losses_of(network, without="sound")))
    assert names == []


def test_sources_may_have_different_numbers_of_samples():
    network = PlainNetwork()
    partition, losses = made(network, lambda: losses_of(network))
    losses["sound"] = losses_of(network, 5, 3)["sound"]
    assert_per_sample(partition, losses)


def test_rows_of_a_part_of_the_batch_are_taken_one_by_one(monkeypatch):
    names = fell_back(monkeypatch)
    network = PlainNetwork()
    partition, losses = made(network, lambda: losses_of(network))
    assert_per_sample(partition, {"fusion": losses["fusion"][2:9]})
    assert names == ["image.0", "sound.0", "fused"]


def test_attention_and_a_layer_used_twice_need_one_pass_a_source(monkeypatch):
    names = fell_back(monkeypatch)
    network = RichNetwork().eval()
    assert_per_sample(*made(network, lambda: losses_of(network)))
    assert names == []


class Norm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 3))

    def partition(self) -> ModalityPartition:
        return ModalityPartition({"image": self.image}, model=self)


def test_where_samples_meet_the_mean_is_exact_and_the_scatter_that_of_rows_contributions():
    network, x = Norm(), torch.randn(N, 5)
    partition, losses = made(network, lambda: {"fusion": network.image(x).square().sum(1)})
    found = PerRow().estimate(losses, partition.blocks, {})["fusion"]
    samples = PerSample().estimate(losses, partition.blocks, {})["fusion"]
    for name in ("image.0", "image.1", "image.3"):
        torch.testing.assert_close(found.means[name], samples.means[name], rtol=1e-9, atol=1e-13)
    assert_moments(found.moments["image.3"], samples.moments["image.3"])  # nothing meets behind it
    first: nn.Linear = network.image[0]
    behind = first(x)
    total = network.image[1:](behind).square().sum()
    (delta,) = torch.autograd.grad(total, behind)
    rows = torch.cat([(delta.unsqueeze(2) * x.unsqueeze(1)).flatten(1), delta], dim=1)
    assert_moments(found.moments["image.0"], GradientMoments.from_samples(rows))
    assert not torch.allclose(found.moments["image.0"].scatter, samples.moments["image.0"].scatter, rtol=0.01)


def test_without_attach_it_is_per_sample_at_the_cost_of_it(monkeypatch):
    names = fell_back(monkeypatch)
    network = PlainNetwork()
    assert_per_sample(network.partition(), losses_of(network))
    assert names == [
        *("image.0", "sound.0", "fused"),
        *("image.0", "image_head"),
        *("sound.0", "sound_head"),
    ]


class Reused(nn.Module):
    """A weight is used outside of its layer, or belongs to two."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.image = nn.Linear(4, 4)
        self.other = nn.Linear(4, 4)
        if how == "two layers":
            self.other.weight = self.image.weight

    def losses(self, x: Tensor) -> dict[str, Tensor]:
        hidden = self.image(x).tanh()
        if self.how == "function":
            hidden = functional.linear(hidden, self.image.weight).sin()
        if self.how == "penalty":
            hidden = hidden + self.image.weight.square().sum()
        if self.how == "as input":
            hidden = hidden * self.other(self.image.weight).sum()
        return {"fusion": self.other(hidden.exp()).square().sum(1)}

    def partition(self) -> ModalityPartition:
        return ModalityPartition({"image": (self.image, self.other)}, model=self)


@pytest.mark.parametrize("how", ["function", "penalty", "two layers", "as input"])
def test_a_weight_that_is_also_used_elsewhere_is_noticed(how, monkeypatch):
    names = fell_back(monkeypatch)
    network = Reused(how)
    assert_per_sample(*made(network, lambda: network.losses(torch.randn(N, 4))))
    assert "image" in names


@pytest.mark.parametrize("network", NETWORKS)
def test_gradient_accumulation_in_any_order_and_passes_in_between(network):
    model = NETWORKS[network]().eval()
    partition, first = made(model, lambda: losses_of(model, seed=1))
    second = losses_of(model, seed=2)
    losses_of(model, seed=3)
    with torch.no_grad():
        losses_of(model, seed=4)
    for losses in (second, first, second):
        assert_per_sample(partition, losses)


def test_a_copied_network_is_estimated_like_the_original():
    network = PlainNetwork()
    PerRow().attach(network.partition())
    copied = copy.deepcopy(network)
    partition = copied.partition()
    first = PerRow().estimate(losses_of(copied), partition.blocks, {})
    second = PerRow().estimate(losses_of(network), network.partition().blocks, {})
    for source, estimate in first.items():
        for name, moments in estimate.moments.items():
            assert_moments(moments, second[source].moments[name])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_moments_are_valid_and_in_the_dtype_of_the_parameters(dtype):
    network = Apart().to(dtype)
    partition, losses = made(network, network.losses)
    for estimate in PerRow().estimate(losses, partition.blocks, {}).values():
        for moments in estimate.moments.values():
            GradientMoments(moments.mean, moments.scatter, moments.count, moments.degrees_of_freedom)
            assert moments.mean.dtype == moments.scatter.dtype == moments.count.dtype == dtype


def test_under_autocast_the_scatter_is_right_to_bfloat16():
    network = Norm().float()
    partition = network.partition()
    PerRow().attach(partition)
    x = torch.randn(200, 5, dtype=torch.float32)
    moments = []
    for enabled in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            losses = {"fusion": network.image(x).float().square().sum(1)}
        moments.append(PerRow().estimate(losses, partition.blocks, {})["fusion"].moments)
    for name, exact in moments[0].items():
        assert moments[1][name].scatter.dtype == torch.float32
        torch.testing.assert_close(moments[1][name].scatter, exact.scatter, rtol=0.1, atol=1e-4)


def test_settings_and_batches_that_cannot_be_used_are_refused():
    with pytest.raises(RangeError, match="chunk must be at least 1; found 0"):
        PerRow(0)
    network = PlainNetwork()
    partition, losses = made(network, lambda: losses_of(network))
    losses["sound"] = losses["sound"][:1]
    with pytest.raises(TooFewSamplesError, match=r"PerRow needs at least 2.*found 1\. .*Streaming"):
        PerRow().estimate(losses, partition.blocks, {})
