"""Training: fit on train, choose on validation, test once."""

import math
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bogc.data import MultimodalBatch, MultimodalDataset, Standardiser, fingerprint, make_split
from bogc.distributed import ProcessGroup, SingleProcess, first_only
from bogc.errors import CheckpointError, ConfigError, EnvironmentWarning, NonFiniteError, StoppedError
from bogc.gradients import FUSION
from bogc.gradients.sharded import gathered
from bogc.methods import PROCESSES, StepInfo
from bogc.training.config import TrainConfig
from bogc.training.cost import peak_bytes, tensors_in
from bogc.training.metrics import Scores, evaluate, predict, score
from bogc.training.spread import check_batch
from bogc.training.state import (
    Network,
    TrainingState,
    batch_order,
    build_network,
    own_part,
    reproducible,
    train_step,
)
from bogc.training.stopping import Asked, never
from bogc.training.storage import (
    START_AGAIN,
    FolderWriter,
    NoWriter,
    RunWriter,
    environment,
    load_checkpoint,
    read_json,
    versions,
    write_json,
)


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
    """Standardised train, validation and test data, on the run's device, and what tells them from others."""

    train: MultimodalDataset
    validation: MultimodalDataset
    test: MultimodalDataset
    fingerprint: str


@dataclass(frozen=True)
class Run:
    """What stays the same during a run.

    Attributes:
        steps: Their number if none is saved by patience.
        changes: Resumptions with another environment: step, and what was and is, by name.
    """

    config: TrainConfig
    parts: Parts
    writer: RunWriter
    listen: Listener
    steps: int
    team: ProcessGroup
    asked: Asked
    shard: bool
    changes: list[dict[str, Any]] = field(default_factory=list)


def prepare(config: TrainConfig, dataset: MultimodalDataset) -> Parts:
    """Split by the config's fold and standardise with training statistics only."""
    split = make_split(dataset, config.folds, config.fold, seed=0)
    scaled = Standardiser.fit(dataset, split.train).apply(dataset)
    device = config.torch_device()
    parts = (scaled.subset(indices).to(device) for indices in (split.train, split.validation, split.test))
    train, validation, test = parts
    return Parts(train, validation, test, fingerprint(dataset, split))


def train(
    config: TrainConfig,
    dataset: MultimodalDataset,
    folder: Path,
    listen: Listener = lambda progress: None,
    team: ProcessGroup | None = None,
    asked: Asked = never,
    shard: bool = False,
) -> dict[str, Any]:
    """Fit ``config`` in ``folder``, going on from its checkpoint if there is one, and test it once.

    Returns:
        What result.json holds; in processes but the first, which alone tests, what fit.json holds.

    Raises:
        BogcError: See :func:`fit`; the data do not fit the configuration.
    """
    parts = prepare(config, dataset)
    fitted = fit(config, parts, folder, listen, team, asked, shard)
    return fitted if team and team.rank > 0 else evaluate_best(config, parts, folder)


def fit(
    config: TrainConfig,
    parts: Parts,
    folder: Path,
    listen: Listener = lambda progress: None,
    team: ProcessGroup | None = None,
    asked: Asked = never,
    shard: bool = False,
) -> dict[str, Any]:
    """Train, and choose the best epoch on validation data; the test part is not read.

    The folder receives config.json, records.jsonl, checkpoint.pt and, at the end, best.pt (the weights of
    the best validation epoch) and fit.json, which is returned. A fit that was interrupted goes on from its
    checkpoint, on any number of processes: each takes its part of the same batches, and the first alone
    reads and writes. One with ``config.extend`` begins where the finished run without it, in the folder of
    its name beside this one, has ended. With ``shard``, each process of the team holds some rows of each
    parameter; checkpoints are the same.

    Raises:
        CheckpointError: The folder holds a checkpoint of another configuration, of other data, or damaged.
        LockedError: Another run is at work in the folder.
        StorageError: The folder cannot be written; what was saved before is as it was.
        StoppedError: ``asked`` named a signal; a checkpoint was saved.
        NonFiniteError: Training diverged.
        ConfigError: A batch has fewer samples than the team processes, or there is no run to extend.
        UnsuitableError: There are several processes, and the method would not be exact with them.
        ProcessError: Another process of the team ended.
    """
    team = team or SingleProcess()
    if shard and team.size == 1:
        raise ConfigError("shard", "needs several processes", 1, "Start it by torchrun --nproc-per-node 2.")
    writer = FolderWriter(folder) if team.rank == 0 else NoWriter()
    with reproducible(config.seed), ExitStack() as stack:
        batches = batch_order(len(parts.train), config.batch_size, config.seed, 0)
        check_batch(len(batches[0]), team)
        state = TrainingState.create(config, parts.train, len(batches), team, shard)
        if team.size > 1:
            state.balancer.check_supports(PROCESSES)
        run = Run(config, parts, writer, listen, config.last_epoch * len(batches), team, asked, shard)
        saved, base = first_only(team, lambda: _begin(stack, run, folder))
        _resume(state, run, saved, base)
        with writer.recording(state.step):
            if base is not None:
                writer.record("extended", state.step, lambda: {"epoch": state.epoch, "run": base})
            while state.epoch < config.last_epoch and not _out_of_patience(state, config):
                _run_epoch(state, run)
        return _finish_fit(state, run)


def _begin(stack: ExitStack, run: Run, folder: Path) -> tuple[dict[str, Any] | None, str | None]:
    """Lock the folder, write config.json, and read what to go on from, and whose it is if another run's."""
    config, data = run.config, run.parts.fingerprint
    stack.enter_context(run.writer.alone())
    saved = run.writer.saved(config.digest, data)
    run.writer.json("config.json", config.to_mapping)
    if saved is not None or not config.extend:
        return saved, None
    base = replace(config, extend=0)
    found = FolderWriter(folder.parent / base.run_name).saved(base.digest, data)
    if found is None or found["position"]["epoch"] < base.epochs:
        rule = f"must follow a finished run of {base.epochs} epochs"
        found_text = f"none in {folder.parent / base.run_name}"
        raise ConfigError("extend", rule, found_text, "Train it first, with the same flags but --extend.")
    return found, base.run_name


def _resume(state: TrainingState, run: Run, saved: dict[str, Any] | None, base: str | None) -> None:
    """Take in what was saved; say if versions, device or numbers of threads or processes have changed."""
    if saved is None:
        return
    try:
        state.load_state_dict(saved) if base is None else state.extend(saved)
        was, changes = dict(saved["environment"]), [dict(change) for change in saved["changes"]]
    except Exception as error:  # a file that is whole, but not one of ours, may hold anything
        found = f"{type(error).__name__}: {error}".splitlines()[0]
        raise CheckpointError("checkpoint", "must hold the state of a run", found, START_AGAIN) from error
    now = environment(run.team.size)
    changed = {
        name: [was.get(name), now.get(name)] for name in sorted(was | now) if was.get(name) != now.get(name)
    }
    run.changes.extend(changes)
    if changed:
        run.changes.append({"step": state.step, "changed": changed})
        said = ", ".join(f"{name} {one} -> {other}" for name, (one, other) in changed.items())
        text = (
            f"The run goes on from step {state.step} with {said}: its bits may differ from those of one go."
        )
        warnings.warn(text, EnvironmentWarning, stacklevel=3)


def evaluate_best(config: TrainConfig, parts: Parts, folder: Path) -> dict[str, Any]:
    """Test the weights that ``fit`` kept and write result.json: what fit.json holds, and the test scores.

    Raises:
        CheckpointError: The folder holds no finished fit of ``config`` on these data.
    """
    model = best_network(config, parts, folder)
    fitted = read_json(folder / "fit.json")
    result: dict[str, Any] = {**fitted, "test": asdict(evaluate(model, parts.train, parts.test))}
    write_json(folder / "result.json", result)
    return result


def best_network(config: TrainConfig, parts: Parts, folder: Path) -> Network:
    """Build the network with the weights that ``fit`` kept.

    Raises:
        CheckpointError: The folder holds no finished fit of ``config`` on these data.
    """
    saved = load_checkpoint(folder / "best.pt", config.digest, parts.fingerprint)
    with reproducible(config.seed):
        model = build_network(config, parts.train)  # seeded, as it draws weights that are replaced at once
    try:
        model.load_state_dict(saved["model"])
    except Exception as error:  # a file that is whole, but not one of ours, may hold anything
        rule = "must hold weights of this network"
        raise CheckpointError(str(folder / "best.pt"), rule, type(error).__name__, START_AGAIN) from error
    return model


def _out_of_patience(state: TrainingState, config: TrainConfig) -> bool:
    return 0 < config.patience < state.epoch - state.best.epoch


def _run_epoch(state: TrainingState, run: Run) -> None:
    """Train on the batches of the epoch that are left, validate, record, save."""
    config = run.config
    batches = batch_order(len(run.parts.train), config.batch_size, config.seed, state.epoch)
    for indices in batches[state.batch :]:
        _stop_if_asked(state, run)
        info = _run_step(state, run, indices)
        if (
            config.checkpoint_every
            and state.step % config.checkpoint_every == 0
            and state.batch < len(batches)
        ):
            _save(state, run)
    mine = _validate(state, run) if run.shard or run.team.rank == 0 else Scores(0, 0, 0, 0)
    validation = run.team.from_first(mine)
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
    _save(state, run)


def _save(state: TrainingState, run: Run) -> None:
    about = {
        "data": run.parts.fingerprint,
        "environment": environment(run.team.size),
        "changes": run.changes,
    }
    _write(run, "checkpoint.pt", lambda: state.state_dict(run.config.digest) | about)


def _write(run: Run, name: str, content: Callable[[], dict[str, Any]]) -> None:
    """Write what the first process holds, or what all hold together."""
    found = content() if run.shard else None
    run.writer.checkpoint(name, content if found is None else lambda: found)


def _stop_if_asked(state: TrainingState, run: Run) -> None:
    if name := run.asked():
        _save(state, run)
        remedy = "The same command goes on from there."
        raise StoppedError("the run", f"must not be stopped; it was, after step {state.step}", name, remedy)


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
    about = {"digest": config.digest, "data": run.parts.fingerprint}
    _write(run, "best.pt", lambda: about | {"model": gathered(state.best.weights)})
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
        "sharded": run.shard,
        "changes": run.changes,
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
