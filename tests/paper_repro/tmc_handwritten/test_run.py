from pathlib import Path

import torch

from bogc.data.dataset import MultimodalDataset
from paper_repro.results import FILE, carry_out
from paper_repro.tmc_handwritten import run
from paper_repro.tmc_handwritten.config import TmcConfig
from paper_repro.tmc_handwritten.protocols import fold_split, released_split
from paper_repro.tmc_handwritten.run import EXPERIMENT, tasks


def test_quick_configuration_gives_every_series(mfeat: MultimodalDataset, tmp_path: Path):
    results = carry_out(EXPERIMENT, EXPERIMENT.quick, tmp_path / FILE)
    for series in EXPERIMENT.series:
        values = results.values_of(series.key)
        assert values, series.key
        assert all(0 <= value <= 100 for value in values.values())


def test_full_configuration_is_the_released_one():
    config = EXPERIMENT.full
    assert (config.epochs, config.batch_size, config.annealing_epochs) == (500, 200, 50)
    assert (config.rates[0], config.weight_decay) == (3e-4, 1e-5)
    assert len(tasks(config)) == 2 * 10 + 2 * 5 + 2 * 5


def test_other_splits_train_on_all_that_is_not_test(mfeat: MultimodalDataset, monkeypatch):
    sizes: list[tuple[int, int]] = []

    def watch(train, test, config, rate, seed):
        sizes.append((len(train), len(test)))
        return 50.0

    monkeypatch.setattr(run, "as_released", watch)
    assert run.run_other_split(TmcConfig(), 3e-3, 1) == {"other splits, rate 0.003": 50.0}
    assert sizes == [(1600, 400)]


def test_folds_and_released_split_differ(mfeat: MultimodalDataset):
    _, test = released_split(mfeat)
    fold = mfeat.subset(fold_split(mfeat, TmcConfig(), 0).test)
    assert not torch.equal(test.inputs["fac"].sum(1).sort().values, fold.inputs["fac"].sum(1).sort().values)
