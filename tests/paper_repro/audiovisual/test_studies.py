import pytest

from paper_repro.audiovisual.methods import METHODS
from paper_repro.audiovisual.sources import SOURCES
from paper_repro.audiovisual.studies import BALANCE, STUDIES, Study
from paper_repro.ledger import read_published

ROWS = {row.row: row for row in read_published()}
DATA = {"CREMA-D": "CREMA-D", "Kinetics-Sounds": "Kinetics-Sounds", "AVE": "AVE", "VGGSound": "VGGSound"}
DATA |= {"UCF101": "UCF101 (RGB, flow)"}


def test_names_and_folders_are_distinct():
    for key in ("name", "folder"):
        assert len({getattr(study, key) for study in STUDIES}) == len(STUDIES)


def test_every_arm_answers_a_row_of_its_method_and_its_data(study: Study):
    assert study.source in SOURCES
    for arm in study.arms:
        assert arm.method in METHODS
        if arm.row:
            row = ROWS[arm.row]
            assert row.dataset == DATA[study.source.partition(",")[0]]
            assert row.metric == "accuracy_percent"
            said = arm.method.removesuffix("-GE") if arm.method != "joint" else "baseline"
            assert said in row.method or "joint" in row.method


def test_a_row_is_answered_once():
    rows = [arm.row for study in STUDIES for arm in study.arms if arm.row]
    assert len(set(rows)) == len(rows) == 20


def test_the_settings_of_balancebenchmark_are_those_of_its_configuration():
    assert (BALANCE.epochs, BALANCE.batch_size, BALANCE.optimiser) == (30, 32, "adamw")
    assert (BALANCE.rate, BALANCE.weight_decay) == (1e-3, 0.01)
    assert (BALANCE.decay_epochs, BALANCE.decay) == (10, 0.1)
    assert (BALANCE.alpha, BALANCE.factor) == (0.3, 1.5)
    last = BALANCE.first_modulated + BALANCE.modulated_epochs - 1
    assert (BALANCE.first_modulated, last) == (10, 80)


def test_quick_is_one_epoch_of_one_seed(study: Study):
    assert (study.quick.epochs, study.quick.seeds, study.quick.side) == (1, 1, 32)
    assert study.quick.pretrained == study.config.pretrained


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_is_used(source: str):
    assert source in {study.source for study in STUDIES}
