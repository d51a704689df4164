import pytest
import torch

from bogc.data.dataset import MultimodalDataset
from bogc.training.state import reproducible
from paper_repro.tmc_handwritten.classifiers import ConcatenationClassifier, TrustedClassifier
from paper_repro.tmc_handwritten.config import TmcConfig
from paper_repro.tmc_handwritten.fitting import accuracy_percent, fit, fit_and_choose

FEATURES = {"a": 4, "b": 3}
CONFIG = TmcConfig(epochs=6, batch_size=10, annealing_epochs=2)


def blobs(rows: int, seed: int, noise: float = 0.3) -> MultimodalDataset:
    generator = torch.Generator().manual_seed(seed)
    targets = torch.arange(rows) % 3
    inputs = {
        view: torch.eye(3, size, dtype=torch.float32)[targets]
        + noise * torch.randn(rows, size, dtype=torch.float32, generator=generator)
        for view, size in FEATURES.items()
    }
    names = tuple("0123456789")
    return MultimodalDataset.from_tensors(inputs, targets, class_names=names)


def model(seed: int = 0) -> TrustedClassifier:
    with reproducible(seed):
        return TrustedClassifier(FEATURES, CONFIG.annealing_epochs)


def test_training_learns_what_is_there():
    trusted, train = model(), blobs(60, 0)
    fit(trusted, train, CONFIG, rate=0.1, seed=0)
    assert accuracy_percent(trusted, blobs(60, 1)) > 95


def test_training_is_a_function_of_the_seed():
    def trained(seed: int) -> torch.Tensor:
        trusted = model()
        fit(trusted, blobs(60, 0), CONFIG, rate=0.1, seed=seed)
        return trusted.layers["a"].weight.detach()

    assert torch.equal(trained(1), trained(1))
    assert not torch.equal(trained(1), trained(2))


def test_epochs_are_told_in_order():
    heard: list[int] = []
    fit(model(), blobs(20, 0), CONFIG, rate=0.1, seed=0, after_epoch=heard.append)
    assert heard == list(range(6))


def test_accuracy_by_counting():
    trusted, data = model(), blobs(30, 3, noise=2.0)
    predicted = trusted.scores(data.inputs).argmax(-1)
    right = sum(int(p) == int(t) for p, t in zip(predicted, data.targets, strict=True))
    assert accuracy_percent(trusted, data) == pytest.approx(100 * right / 30)


@pytest.mark.parametrize("seed", range(3))
def test_the_chosen_epoch_is_the_best_of_validation(seed: int):
    train, validation = blobs(60, seed, noise=1.5), blobs(40, seed + 10, noise=1.5)
    trusted, seen = model(seed), []
    chosen = fit_and_choose(trusted, train, validation, CONFIG, rate=0.2, seed=seed)
    again = model(seed)

    def judge(epoch: int) -> None:
        with torch.no_grad():
            loss = again.loss(validation.inputs, validation.targets, CONFIG.epochs).item()
        seen.append((accuracy_percent(again, validation), -loss))

    fit(again, train, CONFIG, rate=0.2, seed=seed, after_epoch=judge)
    assert chosen.epoch == max(range(len(seen)), key=seen.__getitem__)
    assert chosen.rank == max(seen)
    trusted.load_state_dict(dict(chosen.parameters))
    assert accuracy_percent(trusted, validation) == chosen.accuracy


def test_the_chosen_parameters_do_not_move_with_the_training():
    network = ConcatenationClassifier(FEATURES, hidden=4)
    chosen = fit_and_choose(network, blobs(60, 0, 1.5), blobs(40, 1, 1.5), CONFIG, rate=0.2, seed=0)
    kept = {name: value.clone() for name, value in chosen.parameters.items()}
    with torch.no_grad():
        network.network[0].weight.zero_()
    assert all(torch.equal(kept[name], value) for name, value in chosen.parameters.items())
