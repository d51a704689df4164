"""What the README and the pages beside it show can be copied; their tables are the registered ones."""

import re
import shlex
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from bogc.belief import EVIDENCE_MAPS, FRAMES
from bogc.calibration import CONSERVATISMS, SCALINGS, WEIGHTS
from bogc.cli import app
from bogc.combination import RULES
from bogc.data import DATASETS, MultimodalDataset
from bogc.gradients import ESTIMATORS
from bogc.methods import METHODS, TABLES, CalibrationSettings, build_balancer
from bogc.posterior import PRIORS, ROUTES, GradientPosterior
from docs.collect import claims, stored_comparison, summary
from paper_repro.bogc_mml.claims_report import Pair, verdict
from tests.networks import PlainNetwork, losses_of

ROOT = Path(__file__).parents[1]
PAGES = tuple(
    path.relative_to(ROOT).as_posix()
    for folder in (ROOT, ROOT / "docs", ROOT / "theory")
    for path in sorted(folder.glob("*.md"))
)


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


README, CONTRIBUTING = text("README.md"), text("CONTRIBUTING.md")
CHOICES, COMMANDS, DATA = text("docs/choices.md"), text("docs/commands.md"), text("docs/data.md")
METHODS_PAGE, RESULTS = text("docs/methods.md"), text("docs/results.md")
FLAGS = {
    "posterior": ROUTES,
    "prior": PRIORS,
    "estimator": ESTIMATORS,
    "evidence": EVIDENCE_MAPS,
    "frame": FRAMES,
    "combination": RULES,
    "weights": WEIGHTS,
    "conservatism": CONSERVATISMS,
    "scaling": SCALINGS,
}


def block(marker: str, page: str = README) -> str:
    found = re.search(rf"<!-- {marker} -->\n```python\n(.*?)```\n<!-- /{marker} -->", page, re.DOTALL)
    assert found, marker
    return found.group(1)


@pytest.fixture(autouse=True)
def float32():
    torch.set_default_dtype(torch.float32)


def test_the_example_runs_and_its_objects_end_in_the_same_update(capsys: pytest.CaptureFixture[str]):
    """The second program goes on from the first; its update is what .grad holds, bit for bit."""
    names: dict = {}
    exec(compile(block("example"), "README", "exec"), names)
    printed = capsys.readouterr().out
    for word in ("uncertainty", "belief", "weight", "fusion", "audio"):
        assert word in printed
    exec(compile(block("chain", CHOICES), "choices", "exec"), names)
    assert torch.equal(names["block"].length * names["update"].direction, names["added"])
    assert not torch.equal(names["update"].direction, sum(m.mean for m in names["block"].moments.values()))


def test_the_example_changes_two_lines_of_a_plain_loop():
    code = block("example")
    assert code.count("balancer = ") == 1
    assert code.count("balancer.backward(") == 1
    assert "loss.backward()" not in code


def test_own_data_recipe():
    names: dict = {}
    exec(compile(block("data", DATA), "data", "exec"), names)
    dataset = names["load"]()
    assert isinstance(dataset, MultimodalDataset)
    assert (dataset.name, dataset.modalities, dataset.n_classes) == ("mine", ("audio", "image"), 5)


def test_the_readme_is_short():
    assert len(README.encode()) <= 9000
    shown = {
        name
        for line in README.splitlines()
        if line.startswith("| `")
        for name in re.findall("`([^`]+)`", line)
    }
    assert shown == {name for name in METHODS if not name.endswith("-released")}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str):
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", text(page)):
        assert ((ROOT / page).parent / target).exists(), target


def commands() -> list[list[str]]:
    """Arguments of every command that is shown, one a line."""
    lines = [
        line.partition("#")[0]
        for line in re.findall(r"^\$ (.*bogc .*)$", README + COMMANDS + DATA, re.MULTILINE)
    ]
    return [shlex.split(line.partition("bogc ")[2]) for line in lines if "make " not in line]


@pytest.mark.parametrize("line", commands(), ids=" ".join)
def test_every_command_is_one(line: list[str]):
    """Each subcommand exists and knows every flag; what it does is tested where it is made."""
    names = [word for word in line if word.startswith("--")]
    asked = line[: 2 if line[0] == "data" else 1]
    shown = CliRunner().invoke(app, [*asked, "--help"], env={"COLUMNS": "300", "TERM": "dumb"})
    assert shown.exit_code == 0, shown.output
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown.output)
    for name in names:
        assert re.search(rf"{name}\b", plain), name


@pytest.mark.parametrize(
    "line", [["data", "list"], ["info"], ["methods"], ["data", "describe", "watch"]], ids=" ".join
)
def test_commands_that_only_tell_run_as_printed(line: list[str]):
    assert line in commands() or line == ["methods"]
    done = CliRunner().invoke(app, line)
    assert done.exit_code == 0, done.output


def test_choices_that_are_shown_exist():
    shown = re.findall(r"`--(\w+) ([\w-]+)`", README + CHOICES)
    for flag, value in shown:
        if flag in FLAGS:
            assert value in FLAGS[flag], (flag, value)
    assert {flag for flag, _ in shown} >= set(FLAGS)


def test_the_tables_are_the_measured_ones():
    assert summary(ROOT / "docs") in RESULTS
    assert claims() in RESULTS


@pytest.mark.parametrize("page", [README, RESULTS], ids=["README.md", "docs/results.md"])
def test_what_is_said_of_the_comparison_was_measured(page: str):
    words = " ".join(page.split())
    scores = stored_comparison()
    bogc, filtered = (verdict(scores, Pair(name, "plain sum")) for name in ("bogc", "bogc, filtered"))
    for found in (bogc, filtered):
        mean, low, high = (f"{100 * value:+.1f}" for value in (found.mean, found.low, found.high))
        assert f"{mean} points ({low} to {high})" in words
    assert f"with probability {bogc.within:.2f}" in words


def rows(marker: str, page: str) -> list[str]:
    found = re.search(rf"<!-- {marker} -->\n(.*?)\n<!-- /{marker} -->", page, re.DOTALL)
    assert found, marker
    return found.group(1).splitlines()[2:]


def test_methods_and_data_sets_are_the_registered_ones():
    methods = [(f"`{n}`", s.summary, s.paper, s.needs, s.passes) for n, s in METHODS.items()]
    data = [
        (f"`{s.name}`", s.summary, f"{s.size:,}", ", ".join(s.modalities), s.source)
        for s in DATASETS.values()
    ]
    for shown, cells in ((rows("methods", METHODS_PAGE), methods), (rows("datasets", DATA), data)):
        assert sorted(shown) == sorted(f"| {' | '.join(line)} |" for line in cells)


def test_what_is_said_of_the_ledger_is_what_it_says():
    lines = (ROOT / "paper_repro" / "REPRODUCTION.md").read_text(encoding="utf-8").splitlines()
    cells = [line.split(" | ") for line in lines]
    found = {line[0].lstrip("| "): line[1] for line in cells if len(line) == 3 and line[1].isdigit()}
    assert f"of {found['all']} rows, {found['reproduced']} are reproduced" in README
    assert (found["off"], found["inconclusive"]) == ("1", "1")


def test_the_recipes_of_contributing_register_what_trains_by_name():
    network = PlainNetwork()
    try:
        exec(compile(block("method", CONTRIBUTING), "CONTRIBUTING", "exec"), {"__name__": "recipe"})
        settings = TABLES["fading_sum"](share=0.25)
        build_balancer("fading-sum", network, settings, steps=1).backward(losses_of(network, seed=0))
        found = [p.grad.clone() for p in network.parameters()]
        own = {s: loss.mean() for s, loss in losses_of(network, seed=0).items()}
        total = own["fusion"] + 0.25 * sum(loss for s, loss in own.items() if s != "fusion")
        for value, expected in zip(
            found, torch.autograd.grad(total, list(network.parameters())), strict=True
        ):
            torch.testing.assert_close(value, expected)
        exec(compile(block("choice", CONTRIBUTING), "CONTRIBUTING", "exec"), {"__name__": "recipe"})
        chosen = CalibrationSettings(weights="squared-belief").build(network.partition()).pipeline.weights
        posterior = GradientPosterior(torch.zeros(1), torch.ones(1))
        torch.testing.assert_close(
            chosen(torch.tensor([[1.0], [3.0]]), posterior), torch.tensor([[0.1], [0.9]])
        )
    finally:
        for registry, name in ((METHODS, "fading-sum"), (TABLES, "fading_sum"), (WEIGHTS, "squared-belief")):
            if name in registry:
                registry.withdraw(name)
