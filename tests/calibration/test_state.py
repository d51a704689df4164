"""What is carried over steps: saved, restored, refused where it does not belong, blind to groups."""

import io
from dataclasses import replace

import pytest
import torch
from torch import nn

from bogc.errors import StateError
from bogc.gradients import groups as grouping
from bogc.methods import BOGC, CalibrationSettings, InverseVariance
from tests.methods.methods import frozen
from tests.networks import PlainNetwork, RichNetwork, losses_of
from tests.processes import printed

CHOICES = {
    "default": CalibrationSettings(),
    "filtered": CalibrationSettings(posterior="filtered"),
    "block prior": CalibrationSettings(prior="block"),
    "per sample": CalibrationSettings(estimator="per-sample"),
}
every = pytest.mark.parametrize("choice", CHOICES)
ABSENT = (None, None, "sound", None, "image", None, None, "sound", None, None)


def run(network, balancer, first: int, last: int, absent=ABSENT) -> list[torch.Tensor]:
    for step in range(first, last):
        network.zero_grad()
        balancer.backward(losses_of(network, 6 + step % 4, step, absent[step]))
    return [p.grad for p in network.parameters() if p.grad is not None]


@every
@pytest.mark.parametrize("stop", range(1, 9, 2))
def test_a_saved_state_goes_on_to_the_last_bit(choice, stop):
    network = PlainNetwork()
    whole, first, second = (CHOICES[choice].build(network.partition()) for _ in range(3))
    expected = run(network, whole, 0, 10)
    run(network, first, 0, stop)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second.load_state_dict(torch.load(file, weights_only=True))
    assert frozen(second.state_dict()) == frozen(first.state_dict())
    found = run(network, second, stop, 10)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert frozen(second.state_dict()) == frozen(whole.state_dict())


COMPILED = """
import torch
from bogc.methods import BOGC
from functools import partial
from tests.calibration.test_state import PlainNetwork, run

torch.compile = partial(torch.compile, backend="aot_eager", fullgraph=True)
torch.set_default_dtype(torch.float64)
network = PlainNetwork()
plain, compiled = (BOGC(network.partition(), compiled=own) for own in (False, True))
expected, found = (run(network, balancer, 0, 6, [None] * 6) for balancer in (plain, compiled))
torch.testing.assert_close(found, expected, rtol=1e-11, atol=0)
print("the same")
"""


def test_a_compiled_pass_is_the_same_to_rounding():
    """By the compiler's tracer and its rewriting of what is written in place; without its code, for time."""
    assert printed(COMPILED) == "the same\n"


class Regrouped(PlainNetwork):
    """The same blocks in another order."""

    def partition(self):
        modalities = {"sound": (self.sound_head, self.sound), "image": (self.image_head, self.image)}
        from bogc.gradients import ModalityPartition

        return ModalityPartition(modalities, shared=self.fused, model=self)


@every
@pytest.mark.parametrize("absent", [(None,) * 10, ABSENT], ids=["all present", "some absent"])
def test_grouping_does_not_matter(choice, absent, monkeypatch):
    """Each block in a group of its own: the same bits; to rounding where sources were absent.

    There counts differ within the usual groups, and a number becomes a tensor of numbers.
    """
    found = []
    for kind in ("usual", "alone"):
        torch.manual_seed(0)
        network = PlainNetwork()
        if kind == "alone":
            apart(monkeypatch)
        found.append(run(network, CHOICES[choice].build(network.partition()), 0, 10, absent))
    for one, other in zip(*found, strict=True):
        if absent is ABSENT:
            torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-13)
        else:
            assert torch.equal(one, other)


def apart(monkeypatch) -> None:
    """Arrange every block in a group of its own."""
    from bogc.gradients import partition

    usual = grouping.arrange

    def alone(reached, blocks):
        return [layout for block in blocks for layout in usual(reached, [block])]

    monkeypatch.setattr(partition, "arrange", alone)


def test_the_order_of_modalities_does_not_matter():
    found = []
    for kind in (PlainNetwork, Regrouped):
        torch.manual_seed(0)
        network = kind()
        balancer = BOGC(network.partition())
        for step in range(6):
            network.zero_grad()
            balancer.backward(losses_of(network, seed=step))
        found.append([p.grad for p in network.parameters()])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)


def wider() -> nn.Module:
    network = PlainNetwork()
    network.image = nn.Sequential(nn.Linear(5, 7), nn.Linear(7, 4))
    return network


@every
@pytest.mark.parametrize(
    "foreign",
    [
        lambda s: {},
        lambda s: s | {"method": "UnimodalSum"},
        lambda s: {k: v for k, v in s.items() if k != "state"},
        lambda s: s | {"state": None},
        lambda s: s | {"state": []},
        lambda s: s | {"state": {"unit": 1.0}},
        lambda s: s | {"state": s["state"] | {"unit": "one"}},
        lambda s: s | {"state": s["state"] | {"unit": -1.0}},
        lambda s: s | {"state": s["state"] | {"pairs": [1, 2]}},
        lambda s: s | {"state": s["state"] | {"pairs": {"fusion": 3}}},
        lambda s: s | {"members": None},
        lambda s: s | {"members": 3},
        lambda s: change(s, lambda pair: pair | {"steps": "many"}),
        lambda s: change(s, lambda pair: pair | {"steps": -1}),
        lambda s: change(s, lambda pair: pair | {"count": None}),
        lambda s: change(s, lambda pair: pair | {"count": 0.0}),
        lambda s: change(s, lambda pair: pair | {"past": None}),
        lambda s: change(s, lambda pair: pair | {"past": [1.0]}),
        lambda s: change(s, lambda pair: pair | {"past": pair["past"] * 2}),
        lambda s: change(s, lambda pair: pair | {"past": [t[:1] for t in pair["past"]] or [torch.ones(1)]}),
        lambda s: change(
            s, lambda pair: pair | {"table": {}} if pair["table"] else pair | {"table": {"a": 1}}
        ),
        lambda s: change(s, lambda pair: pair | {"table": {k: torch.ones(3) for k in pair["table"]} or None}),
        lambda s: change(s, lambda pair: pair | {"table": dict.fromkeys(pair["table"], 1.0) or 7}),
        lambda s: change(s, lambda pair: pair | {"past": [t * torch.nan for t in pair["past"]] or 0}),
        lambda s: change(s, lambda pair: pair | {"more": 1}),
        lambda s: rename(s, "sight", "image.0"),
        lambda s: rename(s, "fusion", "another"),
    ],
)
def test_a_state_of_something_else_is_refused_at_once_and_changes_nothing(choice, foreign):
    network = PlainNetwork()
    saved, loaded = (CHOICES[choice].build(network.partition()) for _ in range(2))
    for step in range(4):
        saved.backward(losses_of(network, seed=step))
        loaded.backward(losses_of(network, seed=9 - step))
    before, state = frozen(loaded.state_dict()), foreign(saved.state_dict())
    with pytest.raises(StateError):
        loaded.load_state_dict(state)
    assert frozen(loaded.state_dict()) == before


def change(state, to):
    """The first pair that is remembered is something else."""
    (name, pair), *others = state["state"]["pairs"].items()
    return state | {"state": state["state"] | {"pairs": {name: to(dict(pair)), **dict(others)}}}


def rename(state, source, block):
    (_, pair), *others = state["state"]["pairs"].items()
    return state | {"state": state["state"] | {"pairs": {f"{source}\n{block}": pair, **dict(others)}}}


@pytest.mark.parametrize(
    "other",
    [
        lambda: BOGC(wider().partition()),
        lambda: BOGC(RichNetwork().partition()),
        lambda: InverseVariance(PlainNetwork().partition()),
        lambda: replace(CalibrationSettings(), posterior="filtered").build(PlainNetwork().partition()),
        lambda: replace(CalibrationSettings(), prior="block").build(PlainNetwork().partition()),
        lambda: replace(CalibrationSettings(), estimator="grouped").build(PlainNetwork().partition()),
    ],
    ids=[
        "wider",
        "other layers",
        "another method",
        "another posterior",
        "another prior",
        "another estimator",
    ],
)
def test_a_state_of_another_network_or_choice_is_refused(other):
    network = PlainNetwork()
    saved = BOGC(network.partition())
    for step in range(4):
        saved.backward(losses_of(network, seed=step))
    made = other()
    with pytest.raises(StateError):
        made.load_state_dict(saved.state_dict())


def test_parameters_frozen_and_unfrozen_between_steps_go_on():
    network = PlainNetwork()
    balancer = BOGC(network.partition())
    for step in range(12):
        network.image[0].bias.requires_grad_(not 4 <= step < 8)
        network.sound[0].requires_grad_(step != 5)
        network.zero_grad()
        info = balancer.backward(losses_of(network, seed=step))
        assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in network.parameters())
    assert "sound.0" in info.blocks


def test_an_info_is_that_of_the_last_step():
    network = PlainNetwork()
    balancer = BOGC(network.partition())
    for step in range(5):
        info = balancer.backward(losses_of(network, seed=step))
    kept = info.blocks["fused"]
    balancer.backward(losses_of(network, seed=7))
    with pytest.raises(StateError, match="info must be that of the last step"):
        info.blocks["fused"]
    assert kept.update.direction.isfinite().all()
