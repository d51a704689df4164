"""Training: fit on train, choose on validation, test once."""

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bogc.data import MultimodalBatch, MultimodalDataset, Standardiser, make_split
from bogc.distributed import ProcessGroup, SingleProcess
from bogc.errors import NonFiniteError
from bogc.gradients import FUSION
from bogc.methods import PROCESSES, StepInfo
from bogc.training.config import TrainConfig
from bogc.training.cost import peak_bytes, tensors_in
from bogc.training.metrics import Scores, evaluate, predict, score
from bogc.training.spread import check_batch
from bogc.training.state import TrainingState, batch_order, build_network, own_part, reproducible, train_step
from bogc.training.storage import FolderWriter, NoWriter, RunWriter, load_checkpoint, versions, write_json


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
    writer: RunWriter
    listen: Listener
    steps: int
    team: ProcessGroup


def prepare(config: TrainConfig, dataset: MultimodalDataset) -> Parts:
    """Split by the config's fold and standardise with training statistics only."""
    split = make_split(dataset, config.folds, config.fold, seed=0)
    scaled = Standardiser.fit(dataset, split.train).apply(dataset)
    device = config.torch_device()
    parts = (scaled.subset(indices).to(device) for indices in (split.train, split.validation, split.test))
    return Parts(*parts)


def train(
    config: TrainConfig,
    dataset: MultimodalDataset,
    folder: Path,
    listen: Listener = lambda progress: None,
    team: ProcessGroup | None = None,
) -> dict[str, Any]:
    """Fit ``config`` in ``folder``, going on from its checkpoint if there is one, and test it once.

    Returns:
        What result.json holds; in processes but the first, which alone tests, what fit.json holds.

    Raises:
        CheckpointError: The folder holds a checkpoint of another configuration, or a damaged one.
        NonFiniteError: Training diverged.
        ProcessError: Another process of the team ended.
        BogcError: The data do not fit the configuration.
    """
    parts = prepare(config, dataset)
    fitted = fit(config, parts, folder, listen, team)
    return fitted if team and team.rank > 0 else evaluate_best(config, parts, folder)


def fit(
    config: TrainConfig,
    parts: Parts,
    folder: Path,
    listen: Listener = lambda progress: None,
    team: ProcessGroup | None = None,
) -> dict[str, Any]:
    """Train, and choose the best epoch on validation data; the test part is not read.

    The folder receives config.json, records.jsonl, checkpoint.pt and, at the end, best.pt (the weights of
    the best validation epoch) and fit.json, which is returned. A fit that was interrupted goes on from its
    checkpoint, on any number of processes: each takes its part of the same batches, and the first alone
    reads and writes.

    Raises:
        CheckpointError: The folder holds a checkpoint of another configuration, or a damaged one.
        NonFiniteError: Training diverged.
        ConfigError: A batch has fewer samples than the team processes.
        UnsuitableError: There are several processes, and the method would not be exact with them.
        ProcessError: Another process of the team ended.
    """
    team = team or SingleProcess()
    writer = FolderWriter(folder) if team.rank == 0 else NoWriter()
    with reproducible(config.seed):
        batches = batch_order(len(parts.train), config.batch_size, config.seed, 0)
        check_batch(len(batches[0]), team)
        state = TrainingState.create(config, parts.train, len(batches), team)
        if team.size > 1:
            state.balancer.check_supports(PROCESSES)
        writer.json("config.json", config.to_mapping)
        saved = team.from_first(writer.saved(config.digest))
        if saved is not None:
            state.load_state_dict(saved)
        with writer.recording(state.step):
            run = Run(config, parts, writer, listen, config.epochs * len(batches), team)
            while state.epoch < config.epochs and not _out_of_patience(state, config):
                _run_epoch(state, run)
        return _finish_fit(state, run)


def evaluate_best(config: TrainConfig, parts: Parts, folder: Path) -> dict[str, Any]:
    """Test the weights that ``fit`` kept and write result.json: what fit.json holds, and the test scores.

    Raises:
        CheckpointError: The folder holds no finished fit of ``config``.
    """
    weights = load_checkpoint(folder / "best.pt", config.digest)["model"]
    with reproducible(config.seed):
        model = build_network(config, parts.train)  # seeded, as it draws weights that are replaced at once
    model.load_state_dict(weights)
    fitted = json.loads((folder / "fit.json").read_text(encoding="utf-8"))
    result: dict[str, Any] = {**fitted, "test": asdict(evaluate(model, parts.train, parts.test))}
    write_json(folder / "result.json", result)
    return result


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
            run.writer.checkpoint("checkpoint.pt", lambda: state.state_dict(config.digest))
    validation = run.team.from_first(_validate(state, run) if run.team.rank == 0 else Scores(0, 0, 0, 0))
    state.best.consider(validation.accuracy, validation.nll, state.epoch, state.model)
    run.writer.record(
        "epoch",
        state.step,
        lambda: {
            "epoch": state.epoch,
            "losses": _numbers(info),
            "validation": asdict(validation),
            "histograms": info.histograms(),
        },
    )
    state.epoch, state.batch = state.epoch + 1, 0
    run.writer.checkpoint("checkpoint.pt", lambda: state.state_dict(config.digest))


def _validate(state: TrainingState, run: Run) -> Scores:
    return score(predict(state.model, run.parts.validation).fused, run.parts.validation.targets)


def _batch(run: Run, indices: Tensor) -> MultimodalBatch:
    """This process' part of a batch."""
    own = own_part(indices, run.team.rank, run.team.size)
    return run.parts.train.take(own.to(run.parts.train.targets.device))


def _run_step(state: TrainingState, run: Run, indices: Tensor) -> StepInfo:
    device = run.parts.train.targets.device
    clock = time.perf_counter if device.type == "cuda" else time.process_time  # a busy machine lies otherwise
    started = clock()
    batch = _batch(run, indices)
    info = train_step(state.model, batch, state.balancer, state.optimiser, run.config.bf16)
    state.schedule.step()
    state.seconds += clock() - started
    state.step += 1
    state.batch += 1
    if state.step % run.config.log_every == 0:
        losses = _numbers(info)
        run.writer.record("step", state.step, lambda: {"losses": losses, "blocks": info.summary()})
        run.listen(Progress(state.step, run.steps, losses[FUSION], state.best.accuracy))
    return info


def _numbers(info: StepInfo) -> dict[str, float]:
    return {source: float(loss) for source, loss in info.losses.items()}


def _finish_fit(state: TrainingState, run: Run) -> dict[str, Any]:
    """Keep the best weights and write the fit; the checkpoint stays, with the last weights."""
    config = run.config
    if not math.isfinite(state.best.nll):
        remedy = "Lower the learning rate."
        raise NonFiniteError("validation loss", "must be finite", state.best.nll, remedy)
    memory = _step_bytes(state, run)
    run.writer.checkpoint("best.pt", lambda: {"digest": config.digest, "model": state.best.weights})
    fitted = {
        "config": config.to_mapping(),
        "digest": config.digest,
        "validation": {"accuracy": state.best.accuracy, "nll": state.best.nll},
        "best_epoch": state.best.epoch,
        "epochs": state.epoch,
        "steps": state.step,
        "seconds": state.seconds,
        "seconds_per_step": state.seconds / state.step,
        "peak_step_bytes": memory,
        "parameters": sum(p.numel() for p in state.model.parameters()),
        "device": str(run.parts.train.targets.device),
        "threads": torch.get_num_threads(),
        "processes": run.team.size,
        "versions": versions(),
    }
    run.writer.json("fit.json", lambda: fitted)
    return fitted


def _step_bytes(state: TrainingState, run: Run) -> int:
    """Peak bytes of one more step: parameters, optimiser, balancer, activations and gradients.

    By now the optimiser and the balancer carry all that they ever do; the state is not used afterwards, and
    the step is not in the time a step takes.
    """
    state.optimiser.zero_grad(set_to_none=True)
    indices = batch_order(len(run.parts.train), run.config.batch_size, run.config.seed, 0)[0]
    batch = _batch(run, indices)
    carried = (state.model.state_dict(), state.optimiser.state_dict(), state.balancer.state_dict())
    held = tensors_in(carried)
    del carried
    return peak_bytes(
        lambda: train_step(state.model, batch, state.balancer, state.optimiser, run.config.bf16), held
    )
