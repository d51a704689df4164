import pytest

from bogc.methods import METHODS
from paper_repro.bogc_mml.config import TINY
from paper_repro.bogc_mml.contestants import CONTESTANTS, CONTROLS, OURS, RATES, REFERENCE
from paper_repro.bogc_mml.controls import controls
from paper_repro.bogc_mml.training import base_config


def trials(name: str, optimiser: str, count: int = 4):
    from dataclasses import replace

    base = replace(base_config(TINY, 0, 1.0, 8), optimiser=optimiser)
    return CONTESTANTS[name].trials(base, count, seed=3)


def test_the_named_groups_are_contestants_and_every_method_is_known():
    assert {REFERENCE, *CONTROLS, *OURS} <= CONTESTANTS.keys()
    with controls():
        assert {contestant.method for contestant in CONTESTANTS.values()} <= METHODS.keys()


@pytest.mark.parametrize("optimiser", RATES)
@pytest.mark.parametrize("name", CONTESTANTS)
def test_every_contestant_tries_as_much_at_the_same_rates(name: str, optimiser: str):
    with controls():
        own, reference = trials(name, optimiser), trials(REFERENCE, optimiser)
        assert len({trial.digest for trial in own}) == 4
    for one, other in zip(own, reference, strict=True):
        rates = [t.lr / (1 - t.momentum) if optimiser == "sgd" else t.lr for t in (one, other)]
        assert rates[0] == pytest.approx(rates[1])
        assert RATES[optimiser].low <= rates[0] <= RATES[optimiser].high


def test_what_is_fixed_is_not_tuned_and_what_is_tuned_varies():
    with controls():
        shrunk = trials("shrinkage alone", "sgd")
        momenta = {trial.momentum for trial in trials("plain sum, momentum tuned", "sgd", 8)}
        filtered = trials("bogc, filtered", "adamw")
    assert {t.calibration.conservatism for t in shrunk} == {"none"}
    assert {t.calibration.weights for t in shrunk} == {"equal"}
    assert min(momenta) == 0.0
    assert max(momenta) >= 0.98
    assert {(t.calibration.posterior, t.momentum) for t in filtered} == {("filtered", 0.0)}
