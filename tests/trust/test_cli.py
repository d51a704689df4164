"""The command line under hostile flags and files: typed errors, said whole, and no code that files name."""

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

from bogc import cli, listing
from bogc.data import MultimodalDataset
from bogc.errors import BogcError, ConfigError, RangeError, StorageError
from bogc.training import TrainConfig, loop, spread
from bogc.training.loop import prepare
from bogc.training.state import TrainingState, batch_order, train_step
from tests import tiny

from .runs import CONFIG, fitted
from .test_readers import mutated

CASES = 75 * int(os.environ.get("BOGC_FUZZ", "1"))  # of flags; BOGC_FUZZ=100 tries a hundred times as many
VALUES = (
    "", " ", "nan", "inf", "-inf", "-1", "0", "1", "2", "0.5", "1e-400", "1e308", "1e400",
    "-0.0", "99999999999999999999",
    "1" * 400, "٣", "0x10", "1_000", "[red]", "[/]", "[peers]", "\\", "\\[", "ünï", "💥", "a" * 300,
    "../..", "/dev/null",
    "os:abort", "os:", ":x", "a:b:c", "x..y:z", "nowhere.at.all:load", "builtins:print", "json:loads",
    "tests.tiny:load",
    "meta", "cuda:99", "cpu:99", "privateuseone", "None", "true", "1,2", ",", "0,0", "0,99", "joint,joint",
    "--help", "\t",
    "{}", "%s", "\udcff",
)  # fmt: skip
COMMANDS = {(name,): command for name, command in typer.main.get_command(cli.app).commands.items()}
DATA = COMMANDS.pop(("data",))
COMMANDS |= {("data", name): command for name, command in DATA.commands.items()}
FLAGS = [
    (command, parameter)
    for command, found in COMMANDS.items()
    for parameter in found.params
    if parameter.name not in ("help", "compiled")  # a compiler takes its time
]


@pytest.fixture(autouse=True)
def float32():
    torch.set_default_dtype(torch.float32)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


class ReachedError(ConfigError):
    """The arguments were taken, and one step of training."""


def one_step(config: TrainConfig, dataset: MultimodalDataset, *arguments: object) -> None:
    parts = prepare(config, dataset)
    indices = batch_order(len(parts.train), config.batch_size, config.seed, 0)[0]
    with loop.reproducible(config.seed):
        state = TrainingState.create(config, parts.train, 3)
        train_step(state.model, parts.train.take(indices), state.balancer, state.optimiser, config.bf16)
    raise ReachedError("the run", "must not be carried out here", "all is well", "Go on.")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Commands of a moment, in an empty folder; nothing is fetched, and nothing leaves a process."""

    def refuse(*arguments: object, **named: object) -> None:
        raise ReachedError("work", "must not be done here", "all is well", "Go on.")

    def load(reference: str, cache: Path | None = None) -> MultimodalDataset:
        return original(reference) if ":" in reference else tiny.load()

    original = cli.load_dataset
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "train_run", one_step)
    monkeypatch.setattr(spread, "CONNECT_SECONDS", 0.1)
    for name in ("fit_all", "run_all", "evaluate_model", "measure_quality"):
        monkeypatch.setattr(cli, name, refuse)
    monkeypatch.setattr(listing, "step_costs", refuse)
    for module in (cli, listing):
        monkeypatch.setattr(module, "load_dataset", load)
    return tmp_path


def bare(arguments: list[str]) -> str:
    """What a command raised that is not typed, or not said whole; empty if all is well."""
    result = CliRunner().invoke(cli.app, arguments)
    error = result.exception
    if isinstance(error, BogcError):
        return "" if said_whole(error) else f"{arguments}: not said whole"
    well = error is None or (isinstance(error, SystemExit) and result.exit_code in (0, 1, 2))
    return "" if well else f"{arguments}: {error!r}"


def said_whole(error: BogcError) -> bool:
    stream, before = io.StringIO(), sys.stderr
    sys.stderr = stream
    try:
        cli._complain(error)
    finally:
        sys.stderr = before
    words = "".join(stream.getvalue().split())
    return "".join(str(error).split()) in words


def value_of(parameter: Any, random: np.random.Generator) -> str:
    return VALUES[random.integers(len(VALUES))]


def arguments_of(command: tuple[str, ...], parameter: Any, value: str) -> list[str]:
    base = ["--dataset", "tests.tiny:load", "--device", "cpu"] if command[0] in ("train", "compare") else []
    base += ["--folds", "3", "--features", "4"] if base else []
    base += ["--methods", "sum", "--only-folds", "0", "--budget", "1"] if command[0] == "compare" else []
    if not parameter.opts[0].startswith("-"):
        return [*command, *base, value]
    needed = ["synthetic"] if command[0] == "data" and command[1] != "list" else []
    needed += ["nowhere"] if command[0] == "evaluate" else []
    return [
        *command,
        *base,
        *needed,
        *([parameter.opts[0]] if parameter.is_flag else [parameter.opts[0], value]),
    ]


def test_no_flag_with_any_value_ends_in_a_bare_error(quick: Path):
    random = np.random.default_rng(0)
    drawn = [FLAGS[i % len(FLAGS)] for i in range(2 * CASES)]
    found = [bare(arguments_of(c, p, value_of(p, random))) for c, p in drawn]
    assert not [text for text in found if text]


TOMLS = (
    b"", b"\xff\xfe", 'lr = "\xe4"'.encode("latin-1"), b"a = " + b"[" * 5000, b"a" + b".a" * 3000 + b" = 1",
    b"lr = inf",
    b"lr = nan", b"lr = " + b"1" * 400, b"lr = " + b"9" * 5000, b"seed = 99999999999999999999",
    b"lr = 1979-05-27",
    b"calibration = 3", b"[calibration]\nframe = []", b"[calibration]\ndecay = inf", b"[nothing]",
    b"[[calibration]]",
    b'dataset = "os:abort"', b"settings = {}", b"device = 'meta'", b"bf16 = 1", b"epochs = true",
    b"lr = 1\nlr = 2",
    b'"[red]" = 1', b"\0", b"__class__ = 1", b"method = ''",
)  # fmt: skip
GOOD = b'method = "sum"\nlr = 0.5\nepochs = 7\nseed = 3\n[calibration]\nframe = "reliability"\ndecay = 0.9\n'


def test_no_file_ends_in_a_bare_error(quick: Path):
    random = np.random.default_rng(1)
    found = []
    for content in [*TOMLS, *(mutated(GOOD, random) for _ in range(CASES // 2))]:
        Path("run.toml").write_bytes(content)
        found.append(
            bare(["train", "--dataset", "tests.tiny:load", "--features", "4", "--config", "run.toml"])
        )
    assert not [text for text in found if text]


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_default_dtype(torch.float32)
    folder = tmp_path_factory.mktemp("runs") / CONFIG.run_name
    fitted(CONFIG, folder)
    return folder


def test_no_damaged_run_ends_in_a_bare_error(quick: Path, run_folder: Path):
    random = np.random.default_rng(2)
    config, found = run_folder / "config.json", []
    whole = config.read_bytes()
    try:
        for content in [*TOMLS, b"null", b"[]", b"7", *(mutated(whole, random) for _ in range(CASES // 2))]:
            config.write_bytes(content)
            found.append(bare(["evaluate", str(run_folder), "--dataset", CONFIG.dataset]))
    finally:
        config.write_bytes(whole)
    assert not [text for text in found if text]


def run(*arguments: str) -> None:
    CliRunner().invoke(cli.app, arguments, catch_exceptions=False)


def test_code_that_a_run_names_is_not_run(quick: Path, run_folder: Path):
    config = run_folder / "config.json"
    whole = config.read_text(encoding="utf-8")
    config.write_text(json.dumps(json.loads(whole) | {"dataset": "os:abort"}), encoding="utf-8")
    try:
        message = r"dataset must be repeated on the command line where a file names code; found 'os:abort' in"
        with pytest.raises(ConfigError, match=message):
            run("evaluate", str(run_folder))
        with pytest.raises(ConfigError, match=message):
            run("evaluate", str(run_folder), "--dataset", "tests.tiny:load")
    finally:
        config.write_text(whole, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"where a file names code; found 'tests.tiny:load' in"):
        run("evaluate", str(run_folder))
    with pytest.raises(ConfigError, match="dataset must be repeated"):
        run("evaluate", str(run_folder), "--dataset", "watch")
    with pytest.raises(ReachedError, match="work must not be done here"):
        run("evaluate", str(run_folder), "--dataset", "tests.tiny:load")


def test_code_that_a_settings_file_names_is_not_run(quick: Path):
    Path("run.toml").write_text('dataset = "os:abort"\n', encoding="utf-8")
    for command in ("train", "compare"):
        with pytest.raises(
            ConfigError, match=r"Give --dataset os:abort if you trust that module: it is run\."
        ):
            run(command, "--config", "run.toml")
    with pytest.raises(ReachedError, match="the run must not be carried out here"):
        run("train", "--config", "run.toml", "--dataset", "tests.tiny:load", "--device", "cpu")


@pytest.mark.parametrize(
    "code", ["json:loads", "nowhere:load", "this.is:not", "tests.trust.runs:last_weights"]
)
def test_code_that_fails_is_said_with_its_place(quick: Path, code: str):
    message = r"must (load without an error; found \w+: .* \(.*:\d+, in|lead to a function; found '.*' \(\w+)"
    with pytest.raises(BogcError, match=message):
        run("train", "--dataset", code)


@pytest.mark.parametrize("wait", ["-1", "0", "nan", "inf", "1e30"])
def test_a_wait_is_a_time(quick: Path, wait: str):
    with pytest.raises(RangeError, match="wait must be positive, at most 1e\\+06 s; found"):
        run("train", "--dataset", "tests.tiny:load", "--wait", wait)


@pytest.mark.parametrize("device", ["meta", "cuda:99", "nonsense", "", "cpu:x", "xla"])
def test_a_device_holds_numbers(quick: Path, device: str):
    with pytest.raises(BogcError, match="device must be usable by torch; found"):
        run("train", "--dataset", "tests.tiny:load", "--device", device)


def test_a_run_in_no_folder_is_one_line(quick: Path):
    Path("file").touch()
    with pytest.raises(StorageError, match=r"must be writable; found Not a directory\. Free or change"):
        fitted(CONFIG, Path("file/run"))


BRACKETS = "run [bold]a[/bold]: folder [/] of bogc[peers] \\[x] [#ff0000] must \\"


def test_foreign_text_is_said_as_it_is():
    assert said_whole(ConfigError(BRACKETS, BRACKETS, BRACKETS, BRACKETS))
