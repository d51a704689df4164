"""The loops of docs/loops run as they stand, and end with the weights of the plain loop, bit for bit."""

import importlib
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from docs.loops import plain
from docs.loops.problem import Network

ROOT = Path(__file__).parents[3]
LOOPS = {"lightning": "docs.loops.with_lightning", "accelerate": "docs.loops.with_accelerate"}
QUIET = {
    "lightning": {"accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False},
    "accelerate": {"cpu": True},
}
KEPT = {"lightning": "last.ckpt", "accelerate": ""}
SETTINGS = [{}, {"accumulate": 3}, {"bf16": True}, {"clip": 0.05}]


@pytest.fixture(autouse=True)
def float32():
    torch.set_default_dtype(torch.float32)
    with warnings.catch_warnings():  # the libraries' own, of torch, of their settings and of data loaders
        warnings.simplefilter("ignore")
        yield


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> Iterator[str]:
    library = pytest.importorskip(
        request.param, reason=f"the optional package {request.param} is not installed"
    )
    yield request.param
    if request.param == "accelerate":  # it refuses a second precision in one process
        library.state.AcceleratorState._reset_state(reset_partial_state=True)
        library.state.GradientState._reset_state()


def trained(loop: str, **settings: object) -> Network:
    train: Callable[..., Network] = importlib.import_module(LOOPS[loop]).train
    return train(**settings, **QUIET[loop])


def assert_same_weights(found: Network, expected: Network) -> None:
    for (name, value), other in zip(found.named_parameters(), expected.parameters(), strict=True):
        assert torch.equal(value, other), name


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_the_weights_are_those_of_the_plain_loop(loop: str, settings: dict):
    assert_same_weights(trained(loop, epochs=1, **settings), plain.train(epochs=1, **settings))


def test_settings_matter():
    """Else the comparison with the plain loop would not see a setting that a loop ignores."""
    first, *others = (plain.train(epochs=1, **settings).fusion.weight for settings in SETTINGS)
    assert not any(torch.equal(first, other) for other in others)


def test_a_checkpoint_keeps_the_balancer(loop: str, tmp_path: Path):
    """Going on from it for no further epoch leaves weights and balancer as they were saved."""
    expected = trained(loop, epochs=1, folder=tmp_path)
    found = trained(loop, epochs=1 if loop == "lightning" else 0, resume=tmp_path / KEPT[loop])
    assert_same_weights(found, expected)


def test_training_learns():
    torch.manual_seed(0)
    untrained, network = Network(), plain.train(epochs=1)
    assert not torch.equal(untrained.fusion.weight, network.fusion.weight)


def test_the_page_shows_the_programs_as_they_are():
    page = (ROOT / "docs" / "loops.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", page):
        assert (ROOT / "docs" / target).exists(), target
    shown = re.findall(r"<!-- (\S+\.py) -->\n```python\n(.*?)```", page, re.DOTALL)
    assert {name for name, _ in shown} == {"plain.py", "with_lightning.py", "with_accelerate.py"}
    for name, code in shown:
        assert code.strip() in (ROOT / "docs" / "loops" / name).read_text(encoding="utf-8"), name


def test_the_torchjd_program_of_the_page_trains_as_the_plain_loop_does():
    pytest.importorskip("torchjd", reason="the optional package torchjd is not installed")
    page = (ROOT / "docs" / "loops.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"<!-- torchjd -->\n```python\n(.*?)```", page, re.DOTALL)
    names: dict = {}
    exec(compile(code, "docs/loops.md", "exec"), names)
    expected = plain.train(epochs=1, clip=1e9)
    for value, other in zip(names["network"].parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(value, other, rtol=1e-3, atol=1e-4)
