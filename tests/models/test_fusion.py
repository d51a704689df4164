import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bogc.models import FUSIONS, ConcatFusion, FusionHead

NAMES = ("a", "b", "c")
ADDITIVE = ("concat", "sum")
MULTIPLICATIVE = ("film", "gated")
all_heads = pytest.mark.parametrize("name", FUSIONS)


def head_of(name: str, count: int = 2, features: int = 6, classes: int = 3) -> FusionHead:
    return FUSIONS[name](NAMES[:count], features, classes)


def features_of(head: FusionHead, present: tuple[str, ...] = NAMES, seed: int = 1) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {m: torch.randn(5, head.features, generator=generator) for m in head.modalities if m in present}


@all_heads
@given(count=st.integers(1, 3), data=st.data(), classes=st.integers(2, 4))
def test_any_modalities_give_logits_of_one_shape(name: str, count: int, data: st.DataObject, classes: int):
    head = head_of(name, count, 4, classes)
    present = data.draw(st.sets(st.sampled_from(NAMES[:count]), min_size=1))
    features = features_of(head, tuple(present))
    assert head(features).shape == (5, classes)
    slices = head.slices(features)
    assert list(slices) == list(features)
    assert all(value.shape == (5, classes) for value in slices.values())


@all_heads
@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("absent", ["a", "b"])
def test_absent_modality_contributes_nothing(name: str, count: int, absent: str):
    head = head_of(name, count)
    present = {m: value for m, value in features_of(head).items() if m != absent}
    if name == "sum":  # no features, and no bias either
        torch.testing.assert_close(head(present), sum(head.linears[m](f) for m, f in present.items()))
    else:
        torch.testing.assert_close(head(present), head({**present, absent: torch.zeros(5, 6)}))


@all_heads
def test_order_of_the_features_does_not_matter(name: str):
    head = head_of(name, 3)
    features = features_of(head)
    torch.testing.assert_close(head(features), head(dict(reversed(features.items()))))


@pytest.mark.parametrize("name", ADDITIVE)
@given(count=st.integers(1, 3), data=st.data())
def test_slices_of_adding_heads_sum_to_the_logits(name: str, count: int, data: st.DataObject):
    head = head_of(name, count)
    present = data.draw(st.sets(st.sampled_from(NAMES[:count]), min_size=1))
    features = features_of(head, tuple(present))
    torch.testing.assert_close(torch.stack(list(head.slices(features).values())).sum(0), head(features))


@pytest.mark.parametrize("name", MULTIPLICATIVE)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_slices_of_multiplying_heads_are_the_logits_with_zeros_for_the_others(name: str, count: int):
    head = head_of(name, count)
    features = features_of(head)
    for modality, found in head.slices(features).items():
        alone = {m: value if m == modality else torch.zeros_like(value) for m, value in features.items()}
        torch.testing.assert_close(found, head(alone))


@all_heads
@pytest.mark.parametrize("count", [1, 2, 3])
def test_weights_are_the_output_weights_with_their_graph(name: str, count: int):
    head = head_of(name, count)
    weights = head.weights()
    assert tuple(weights) == head.modalities
    assert all(weight.shape == (3, 6) for weight in weights.values())
    torch.stack([weight.sum() for weight in weights.values()]).sum().backward()
    reached = {n: p for n, p in head.named_parameters() if p.grad is not None}
    assert reached
    expected = count if name in MULTIPLICATIVE else 1  # one weight that all meet, or one slice each
    assert all(torch.equal(p.grad, torch.full_like(p, expected)) for p in reached.values())


@pytest.mark.parametrize("name", ADDITIVE)
def test_weights_and_slices_are_about_the_same_numbers(name: str):
    head = head_of(name, 3)
    features = features_of(head)
    zeros = head.slices({m: torch.zeros_like(value) for m, value in features.items()})
    for modality, found in head.slices(features).items():
        linear = features[modality] @ head.weights()[modality].T
        torch.testing.assert_close(found - zeros[modality], linear)


def test_concat_is_one_linear_layer():
    head = ConcatFusion(("a", "b"), 2, 3)
    a, b = torch.randn(4, 2), torch.randn(4, 2)
    torch.testing.assert_close(head({"a": a, "b": b}), head.linear(torch.cat([a, b], 1)))


def test_film_scales_and_shifts_the_sum_of_the_others():
    head = head_of("film", 3)
    features = features_of(head)
    scale, shift = head.film(features["a"]).split(6, dim=1)
    expected = head.output(scale * (features["b"] + features["c"]) + shift)
    torch.testing.assert_close(head(features), expected)


def test_the_gate_is_the_first_modality():
    head = head_of("gated", 3)
    a, b, c = (head.projections[m](value) for m, value in features_of(head).items())
    torch.testing.assert_close(head(features_of(head)), head.output(torch.sigmoid(a) * (b + c)))
