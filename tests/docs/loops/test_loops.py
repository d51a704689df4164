"""The loops of docs/loops run as they stand, and end with the weights of the plain loop, bit for bit."""

import importlib
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bogc.errors import UnsuitableError
from docs.loops import plain, with_amp
from docs.loops.problem import Network, balancer_of, loader, losses_of, made

ROOT = Path(__file__).parents[3]
LOOPS = {
    "lightning": "docs.loops.with_lightning",
    "lightning, automatic": "docs.loops.with_lightning",
    "accelerate": "docs.loops.with_accelerate",
}
STILL = {"accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False}
QUIET = {
    "lightning": STILL,
    "lightning, automatic": {**STILL, "automatic": True},
    "accelerate": {"cpu": True},
}
SETTINGS = [{}, {"accumulate": 3}, {"bf16": True}, {"clip": 0.05}]


@pytest.fixture(autouse=True)
def float32():
    torch.set_default_dtype(torch.float32)
    with warnings.catch_warnings():  # the libraries' own, of torch, of their settings and of data loaders
        warnings.simplefilter("ignore")
        yield


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> Iterator[str]:
    name = request.param.partition(",")[0]
    library = pytest.importorskip(name, reason=f"the optional package {name} is not installed")
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
    name, epochs = ("", 0) if loop == "accelerate" else ("last.ckpt", 1)
    found = trained(loop, epochs=epochs, resume=tmp_path / name)
    assert_same_weights(found, expected)


def test_training_learns():
    torch.manual_seed(0)
    untrained, network = Network(), plain.train(epochs=1)
    assert not torch.equal(untrained.fusion.weight, network.fusion.weight)


def page() -> str:
    return (ROOT / "docs" / "loops.md").read_text(encoding="utf-8")


def run_block(marker: str, **names: Any) -> dict[str, Any]:
    (code,) = re.findall(rf"<!-- {marker} -->\n```python\n(.*?)```", page(), re.DOTALL)
    exec(compile(code, "docs/loops.md", "exec"), names)
    return names


def test_the_page_shows_the_programs_as_they_are():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", page()):
        assert (ROOT / "docs" / target).exists(), target
    shown = re.findall(r"<!-- (\S+\.py)[^>]* -->\n```python\n(.*?)```", page(), re.DOTALL)
    assert {name for name, _ in shown} == {
        "plain.py",
        "with_lightning.py",
        "with_accelerate.py",
        "with_amp.py",
    }
    for name, code in shown:
        assert code.strip() in (ROOT / "docs" / "loops" / name).read_text(encoding="utf-8"), name


@pytest.mark.parametrize(("parts", "expected"), [(1, "plain"), (2, "both")])
def test_what_goes_wrong_inside_an_automatic_training_step(parts: int, expected: str):
    """The page says that the calibrated gradient is cleared, or added to the plain one."""
    lightning = pytest.importorskip("lightning", reason="the optional package lightning is not installed")
    from docs.loops.with_lightning import Automatic, losses_of

    steps: list[Tensor] = []

    class Wrong(Automatic):
        def training_step(self, batch: list[Tensor], index: int) -> Tensor:
            *inputs, targets = batch
            self.losses = losses_of(self.network(inputs), targets)
            before = [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in self.parameters()]
            total = torch.stack([loss.mean() for loss in self.losses.values()]).sum()
            plain = torch.autograd.grad(total, list(self.parameters()), retain_graph=True)
            self.balancer.backward(self.losses)
            own = [p.grad - old for p, old in zip(self.parameters(), before, strict=True)]
            self.seen.append((_flat(plain), _flat(own)))
            return total

        def backward(self, loss: Tensor) -> None:
            loss.backward()

        def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
            steps.append(_flat([p.grad for p in self.parameters()]))

    model = Wrong()
    model.seen = []
    trainer = lightning.Trainer(
        max_epochs=1, limit_train_batches=8, logger=False, enable_checkpointing=False,
        accumulate_grad_batches=parts, **STILL,
    )  # fmt: skip
    trainer.fit(model, loader(seed=0))
    (*earlier, (plain, own)) = model.seen[-parts:]
    kept = plain if expected == "plain" else earlier[0][0] / 2 + plain / 2 + own
    torch.testing.assert_close(steps[-1], kept, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(plain, own, rtol=0.05, atol=1e-3)


def _flat(values: Iterable[Tensor]) -> Tensor:
    return torch.cat([value.flatten() for value in values])


@pytest.mark.parametrize("scale", [1.0, 2.0**16])
def test_a_scaler_changes_nothing_but_rounding(scale: float, monkeypatch: pytest.MonkeyPatch):
    """With a forward pass in float32 the scale, a power of two, is divided out again."""
    autocast = torch.autocast
    monkeypatch.setattr(
        torch, "autocast", lambda device, dtype, **_: autocast(device, dtype=dtype, enabled=False)
    )
    found, _ = with_amp.train(epochs=1, scale=scale)
    for value, other in zip(found.parameters(), plain.train(epochs=1).parameters(), strict=True):
        torch.testing.assert_close(value, other, rtol=1e-4, atol=1e-5)


def test_float16_trains_and_overflow_is_skipped():
    first, scale = with_amp.train(epochs=1)
    assert scale == 2.0**16
    for value, other in zip(first.parameters(), plain.train(epochs=1).parameters(), strict=True):
        torch.testing.assert_close(value, other, rtol=0.1, atol=0.05)
    second, scale = with_amp.train(epochs=1, scale=2.0**30)
    assert scale < 2.0**20
    assert all(value.isfinite().all() for value in second.parameters())


def test_a_compiled_network_gives_the_same_gradient(monkeypatch: pytest.MonkeyPatch):
    """By the backend that needs no C++ compiler; it hands buffers over as the default one does."""
    from torch._functorch import config

    compiler = torch.compile
    monkeypatch.setattr(torch, "compile", lambda network: compiler(network, backend="aot_eager"))
    torch.manual_seed(0)
    with config.patch(donated_buffer=True):  # which restores it; monkeypatch would delete it
        names = run_block("compile")
        assert config.donated_buffer is False
    network, losses_of = names["network"], names["losses_of"]
    compiled = [p.grad.clone() for p in network.parameters()]
    network.zero_grad()
    balancer_of(network).backward(losses_of(network(names["inputs"]), names["targets"]))
    for parameter, expected in zip(network.parameters(), compiled, strict=True):
        torch.testing.assert_close(parameter.grad, expected, rtol=1e-4, atol=1e-6)


def test_a_checkpointed_encoder_gives_the_same_gradient_and_a_reentrant_one_is_refused():
    names = run_block("checkpoint")
    network, balancer = made(seed=0)
    balancer.backward(losses_of(network(names["inputs"]), names["targets"]))
    for value, other in zip(names["network"].parameters(), network.parameters(), strict=True):
        assert torch.equal(value.grad, other.grad)
    forward = names["forward"]
    names["encoder"].forward = lambda x: names["checkpoint"](forward, x, use_reentrant=True)
    again = [x.requires_grad_() for x in names["inputs"]]
    losses = losses_of(names["network"](again), names["targets"])
    with pytest.raises(UnsuitableError, match="use_reentrant=False"):
        balancer_of(names["network"]).backward(losses)


def test_the_torchjd_program_of_the_page_trains_as_the_plain_loop_does():
    pytest.importorskip("torchjd", reason="the optional package torchjd is not installed")
    names = run_block("torchjd")
    expected = plain.train(epochs=1, clip=1e9)
    for value, other in zip(names["network"].parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(value, other, rtol=1e-3, atol=1e-4)
