"""Training: fit on train, choose on validation, test once."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bogc.balancing import StepInfo
from bogc.data import MultimodalDataset, Standardiser, make_split
from bogc.gradients import FUSION
from bogc.training import checkpoint
from bogc.training.config import TrainConfig
from bogc.training.files import write_json
from bogc.training.metrics import evaluate, predict, score
from bogc.training.records import Recorder
from bogc.training.seeding import batch_order, reproducible
from bogc.training.state import TrainingState
from bogc.training.step import train_step
from bogc.training.versions import versions


@dataclass(frozen=True)
class Progress:
    """Where a run is: for a progress bar."""

    step: int
    steps: int
    loss: float
    validation_accuracy: float


Listener = Callable[[Progress], None]


@dataclass(frozen=True)
class Parts:
    """Standardised train, validation and test data, on the run's device."""

    train: MultimodalDataset
    validation: MultimodalDataset
    test: MultimodalDataset


@dataclass(frozen=True)
class Run:
    """What stays the same during a run; ``steps`` is their number if none is saved by patience."""

    config: TrainConfig
    parts: Parts
    folder: Path
    recorder: Recorder
    listen: Listener
    steps: int


def prepare(config: TrainConfig, dataset: MultimodalDataset) -> Parts:
    """Split by the config's fold and standardise with training statistics only."""
    split = make_split(dataset, config.folds, config.fold, seed=0)
    scaled = Standardiser.fit(dataset, split.train).apply(dataset)
    device = config.torch_device()
    parts = (scaled.subset(indices).to(device) for indices in (split.train, split.validation, split.test))
    return Parts(*parts)


def train(
    config: TrainConfig, dataset: MultimodalDataset, folder: Path, listen: Listener = lambda progress: None
) -> dict[str, Any]:
    """Run ``config`` in ``folder``, going on from its checkpoint if there is one.

    The folder receives config.json, records.jsonl, checkpoint.pt and, at the end, best.pt (the weights of
    the best validation epoch) and result.json, which is returned.

    A finished run is not run again by ``bogc compare``, which looks for result.json.

    Raises:
        CheckpointError: The folder holds a checkpoint of another configuration, or a damaged one.
        NonFiniteError: Training diverged.
        BogcError: The data do not fit the configuration.
    """
    parts = prepare(config, dataset)
    write_json(folder / "config.json", config.to_mapping())
    with reproducible(config.seed):
        steps = len(batch_order(len(parts.train), config.batch_size, config.seed, 0))
        state = TrainingState.create(config, parts.train, steps)
        if (folder / "checkpoint.pt").exists():
            state.load_state_dict(checkpoint.load(folder / "checkpoint.pt", config.digest))
        with Recorder(folder, state.step) as recorder:
            run = Run(config, parts, folder, recorder, listen, config.epochs * steps)
            while state.epoch < config.epochs and not _out_of_patience(state, config):
                _run_epoch(state, run)
        return _finish(state, config, parts, folder)


def _out_of_patience(state: TrainingState, config: TrainConfig) -> bool:
    return 0 < config.patience < state.epoch - state.best.epoch


def _run_epoch(state: TrainingState, run: Run) -> None:
    """Train on the batches of the epoch that are left, validate, record, save."""
    config = run.config
    batches = batch_order(len(run.parts.train), config.batch_size, config.seed, state.epoch)
    for indices in batches[state.batch :]:
        info = _run_step(state, run, indices)
        if (
            config.checkpoint_every
            and state.step % config.checkpoint_every == 0
            and state.batch < len(batches)
        ):
            checkpoint.save(run.folder / "checkpoint.pt", state.state_dict(config.digest))
    validation = score(predict(state.model, run.parts.validation).fused, run.parts.validation.targets)
    state.best.consider(validation.accuracy, validation.nll, state.epoch, state.model)
    run.recorder.write(
        "epoch",
        state.step,
        {"epoch": state.epoch, "losses": _numbers(info), "validation": asdict(validation)}
        | {"histograms": info.histograms()},
    )
    state.epoch, state.batch = state.epoch + 1, 0
    checkpoint.save(run.folder / "checkpoint.pt", state.state_dict(config.digest))


def _run_step(state: TrainingState, run: Run, indices: Tensor) -> StepInfo:
    started = time.perf_counter()
    batch = run.parts.train.take(indices.to(run.parts.train.targets.device))
    info = train_step(state.model, batch, state.balancer, state.optimiser, run.config.bf16)
    state.schedule.step()
    state.seconds += time.perf_counter() - started
    state.step += 1
    state.batch += 1
    if state.step % run.config.log_every == 0:
        losses = _numbers(info)
        run.recorder.write("step", state.step, {"losses": losses, "blocks": info.summary()})
        run.listen(Progress(state.step, run.steps, losses[FUSION], state.best.accuracy))
    return info


def _numbers(info: StepInfo) -> dict[str, float]:
    return {source: float(loss) for source, loss in info.losses.items()}


def _finish(state: TrainingState, config: TrainConfig, parts: Parts, folder: Path) -> dict[str, Any]:
    """Test the best weights once and write the result; the checkpoint stays, with the last weights."""
    model = state.model
    model.load_state_dict(state.best.weights)
    checkpoint.save(folder / "best.pt", {"digest": config.digest, "model": state.best.weights})
    result = {
        "config": config.to_mapping(),
        "digest": config.digest,
        "test": asdict(evaluate(model, parts.train, parts.test)),
        "validation": {"accuracy": state.best.accuracy, "nll": state.best.nll},
        "best_epoch": state.best.epoch,
        "epochs": state.epoch,
        "steps": state.step,
        "seconds_per_step": state.seconds / state.step,
        "parameters": sum(p.numel() for p in model.parameters()),
        "device": str(parts.train.targets.device),
        "threads": torch.get_num_threads(),
        "versions": versions(),
    }
    write_json(folder / "result.json", result)
    return result
