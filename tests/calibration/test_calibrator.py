import torch

from bogc.calibration.calibrator import gradient_name, gradient_parts, plain_sum


def test_the_plain_sum_is_a_new_tensor():
    means = {name: torch.tensor([value]) for name, value in (("a", 1.0), ("b", 2.0), ("c", 4.0))}
    assert plain_sum(means).item() == 7
    assert [mean.item() for mean in means.values()] == [1, 2, 4]
    alone = plain_sum({"a": means["a"]})
    assert alone.item() == 1
    assert alone.data_ptr() != means["a"].data_ptr()


def test_gradients_are_listed_by_source():
    first, second = torch.ones(1), torch.ones(2)
    parts = gradient_parts({"x": {"a": first}, "y": {"a": second, "b": second}})
    assert {name: [len(part) for part in found] for name, found in parts.items()} == {
        gradient_name("a"): [1, 2],
        gradient_name("b"): [2],
    }
