import pytest
import torch

from bogc.errors import RangeError
from bogc.models.generative import Schedule
from bogc.models.generative.schedule import momentum_step


def test_published_values():
    schedule = Schedule()
    assert schedule.rate_at(1) == 0.01 / 1.005
    assert schedule.rate_at(300) == 0.01 / 2.5
    assert [schedule.momentum_at(epoch) for epoch in (1, 5, 6, 300)] == [0.33, 0.33, 0.47, 0.47]
    assert (schedule.epochs, schedule.batch_size, schedule.l2) == (300, 100, 1e-4)


def test_momentum_averages_the_steps():
    parameter, velocity = torch.zeros(2), torch.zeros(2)
    gradients = torch.randn(6, 2)
    for gradient in gradients:
        momentum_step([parameter], [gradient], [velocity], rate=0.1, momentum=0.4)
    weights = torch.tensor([sum(0.6 * 0.4**k for k in range(6 - i)) for i in range(6)])
    torch.testing.assert_close(parameter, -0.1 * weights @ gradients)


def test_a_constant_gradient_ends_in_plain_steps():
    parameter, velocity = torch.zeros(1), torch.zeros(1)
    for _ in range(60):
        before = parameter.clone()
        momentum_step([parameter], [torch.ones(1)], [velocity], rate=0.1, momentum=0.47)
    torch.testing.assert_close(before - parameter, torch.full((1,), 0.1))


@pytest.mark.parametrize(
    ("setting", "value", "rule"),
    [
        ("epochs", 0, "must be at least 1"),
        ("batch_size", 0, "must be at least 1"),
        ("rate", 0.0, "must be positive"),
        ("decay", -1.0, "must not be negative"),
        ("early_epochs", -1, "must not be negative"),
        ("l2", -1.0, "must not be negative"),
        ("early_momentum", 1.0, r"must lie in \[0, 1\)"),
        ("late_momentum", -0.1, r"must lie in \[0, 1\)"),
    ],
)
def test_refuses(setting: str, value: float, rule: str):
    with pytest.raises(RangeError, match=f"{setting} {rule}; found {value}"):
        Schedule(**{setting: value})
