import pytest
import torch

from bogc.models import FUSIONS, ConcatFusion


@pytest.mark.parametrize("name", FUSIONS)
def test_absent_modality_contributes_nothing(name: str):
    head = FUSIONS[name](("a", "b"), 6, 3)
    a, zero = torch.randn(5, 6), torch.zeros(5, 6)
    if name == "concat":
        torch.testing.assert_close(head({"a": a}), head({"a": a, "b": zero}))
    else:
        torch.testing.assert_close(head({"a": a}), head.linears["a"](a))


@pytest.mark.parametrize("name", FUSIONS)
def test_order_of_the_features_does_not_matter(name: str):
    head = FUSIONS[name](("a", "b"), 6, 3)
    a, b = torch.randn(5, 6), torch.randn(5, 6)
    torch.testing.assert_close(head({"a": a, "b": b}), head({"b": b, "a": a}))


def test_concat_is_one_linear_layer():
    head = ConcatFusion(("a", "b"), 2, 3)
    a, b = torch.randn(4, 2), torch.randn(4, 2)
    torch.testing.assert_close(head({"a": a, "b": b}), head.linear(torch.cat([a, b], 1)))
