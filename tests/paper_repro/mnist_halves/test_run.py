from pathlib import Path

import pytest

from bogc.errors import FetchError
from paper_repro.ledger import read_published
from paper_repro.mnist_halves.config import MnistHalvesConfig
from paper_repro.mnist_halves.protocol import digits
from paper_repro.mnist_halves.run import EXPERIMENT, METHODS, REDUCED, SEEN, TINY, run_method, tasks
from paper_repro.results import FILE, Run, carry_out


@pytest.fixture(scope="module")
def mnist():
    try:
        return digits(TINY.train, TINY.validation, TINY.test)
    except FetchError as error:
        pytest.skip(f"the digits could not be fetched: {error}")


def test_quick_configuration_gives_every_series_and_resumes_by_method(mnist, tmp_path: Path):
    path = tmp_path / FILE
    carried: list[str] = []

    def stop(name: str, run: Run) -> None:
        carried.append(name)
        if len(carried) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        carry_out(EXPERIMENT, TINY, path, stop)
    results = carry_out(EXPERIMENT, TINY, path, stop)
    assert carried == [f"{method}, seed 0" for method in METHODS]
    for series in EXPERIMENT.series:
        [value] = results.values_of(series.key).values()
        assert 0 <= value <= 100


def test_parts_do_not_overlap_and_have_all_classes(mnist):
    sizes = [len(part.labels) for part in mnist]
    assert sizes == [TINY.train, TINY.validation, TINY.test]
    assert all(set(part.labels) == set(range(10)) for part in mnist)
    images = {tuple(image.tolist()) for part in mnist for image in part.inputs["left"]}
    assert len(images) > 0.99 * sum(sizes)


def test_full_configuration_is_the_published_one():
    config = EXPERIMENT.full
    assert (config.train, config.validation, config.test) == (50_000, 10_000, 10_000)
    assert (config.hidden, config.epochs, config.chains, config.tolerance) == (1000, 300, 500, 1e-5)
    names = list(tasks(config))
    assert names[:3] == [f"{method}, seed 0" for method in METHODS]  # a complete table first
    assert len(names) == 3 * config.seeds


def test_objectives_have_the_published_settings():
    likelihood, perceptron, prediction = (make(MnistHalvesConfig()) for make in METHODS.values())
    assert (likelihood.steps, likelihood.chains) == (10, 500)
    assert (likelihood.sparsity.weight, likelihood.sparsity.target) == (0.3, 0.05)
    assert (perceptron.steps, perceptron.sparsity.weight, perceptron.sparsity.target) == (10, 0.1, 0.1)
    assert (prediction.rounds, prediction.most_kept) == (5, 0.25)


def test_each_row_is_answered_by_its_own_method_and_half():
    rows = {row.row: row for row in read_published() if row.dataset == "MNIST halves"}
    answers = {series.row: series.key for series in EXPERIMENT.series}
    assert answers.keys() == rows.keys()
    for name, row in rows.items():
        assert answers[name] == row.method.removesuffix(" half")
    assert len(rows) == len(METHODS) * len(SEEN)


def test_the_reduced_experiment_answers_no_row_and_is_no_matter_of_hours():
    assert all(series.row is None for series in REDUCED.series)
    assert (REDUCED.hours, bool(EXPERIMENT.hours)) == ("", True)
    assert "UNVERIFIED" in EXPERIMENT.paper
    assert "UNVERIFIED" in REDUCED.paper


def test_a_run_says_what_was_chosen_and_what_settled(mnist):
    values = run_method(TINY, "MinVI, multi-prediction", 0)
    assert values["MinVI, multi-prediction, C"] in TINY.costs
    assert 0 <= values["MinVI, multi-prediction, left, settled"] <= 100
    assert 0 <= values["MinVI, multi-prediction, validation"] <= 100
