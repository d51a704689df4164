from dataclasses import asdict

import pytest
from torch import nn

from bogc.gradients import ModalityPartition
from bogc.methods import BOGC
from paper_repro.bogc_mml.variants import (
    BASE,
    BASE_NAME,
    FACTORS,
    SINGLE,
    combinations,
    combined,
    name_of,
    single,
)


def test_the_base_states_every_choice_that_a_variant_changes():
    assert single(BASE_NAME) == BASE
    for name, changes in SINGLE.items():
        expected = {**asdict(BASE), **changes}
        assert asdict(single(name)) == expected
        assert name == BASE_NAME or single(name) != BASE


@pytest.mark.parametrize("settings", [*map(single, SINGLE), *map(combined, combinations())], ids=str)
def test_every_variant_can_be_built(settings):
    assert isinstance(settings.build(ModalityPartition({"a": nn.Linear(2, 2)})), BOGC)


def test_the_full_design_is_every_combination_once():
    names = [name_of(levels) for levels in combinations()]
    assert len(names) == len(set(names)) == 2 * 5 * 3 * 3
    assert len({str(combined(levels)) for levels in combinations()}) == 90
    assert combined(tuple(levels[0] for levels in FACTORS.values())) == BASE
