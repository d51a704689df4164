"""What the README shows can be copied: its code runs as it stands."""

import json
import re
from pathlib import Path

import pytest
import torch

from bogc.balancing.methods import METHODS
from bogc.data import DATASETS, MultimodalDataset
from docs.collect import summary

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(marker: str) -> str:
    found = re.search(rf"<!-- {marker} -->\n```python\n(.*?)```\n<!-- /{marker} -->", README, re.DOTALL)
    assert found, marker
    return found.group(1)


@pytest.fixture(autouse=True)
def float32():
    torch.set_default_dtype(torch.float32)


def test_example_runs_and_reports_each_loss(capsys: pytest.CaptureFixture[str]):
    exec(compile(block("example"), "README", "exec"), {})
    printed = capsys.readouterr().out
    for word in ("uncertainty", "belief", "weight", "fusion", "audio"):
        assert word in printed


def test_example_changes_two_lines_of_a_plain_loop():
    code = block("example")
    assert code.count("balancer = ") == 1
    assert code.count("balancer.backward(") == 1
    assert "loss.backward()" not in code


def test_own_data_recipe():
    names: dict = {}
    exec(compile(block("data"), "README", "exec"), names)
    dataset = names["load"]()
    assert isinstance(dataset, MultimodalDataset)
    assert (dataset.name, dataset.modalities, dataset.n_classes) == ("mine", ("audio", "image"), 5)


def test_links_lead_somewhere():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_flags_of_the_table_exist():
    from bogc.balancing.settings import PRIORS, ROUTES
    from bogc.belief import EVIDENCE_MAPS, FRAMES
    from bogc.calibration import CONSERVATISMS, SCALINGS, WEIGHTS
    from bogc.combination import FOLDS
    from bogc.gradients import ESTIMATORS

    registries = {
        "posterior": ROUTES, "prior": PRIORS, "estimator": ESTIMATORS, "evidence": EVIDENCE_MAPS,
        "frame": FRAMES, "combination": FOLDS, "weights": WEIGHTS,
        "conservatism": CONSERVATISMS, "scaling": SCALINGS,
    }  # fmt: skip
    shown = re.findall(r"`--(\w+) ([\w-]+)`", README)
    for flag, value in shown:
        if flag in registries:
            assert value in registries[flag], (flag, value)
    assert {flag for flag, _ in shown} >= set(registries)


def test_the_tables_are_the_measured_ones():
    assert summary(ROOT / "docs") in README


def test_methods_and_data_sets_are_the_registered_ones():
    kept = json.loads((ROOT / "tests/benchmarks/results/methods.json").read_text(encoding="utf-8"))
    for name, spec in METHODS.items():
        costs = [kept["results"][problem][name] for problem in kept["results"]]
        shown = " / ".join(f"{cost['ratio']:.1f}" if cost else "–" for cost in costs)
        cells = (f"`{name}`", spec.summary, spec.paper, spec.needs, spec.passes, shown)
        assert f"| {' | '.join(cells)} |" in README, name
    for spec in DATASETS.values():
        cells = (f"`{spec.name}`", spec.summary, f"{spec.size:,}", ", ".join(spec.modalities), spec.source)
        assert f"| {' | '.join(cells)} |" in README, spec.name


def test_what_is_said_of_the_ledger_is_what_it_says():
    lines = (ROOT / "paper_repro" / "REPRODUCTION.md").read_text(encoding="utf-8").splitlines()
    cells = [line.split(" | ") for line in lines]
    rows = {line[0].lstrip("| "): line[1] for line in cells if len(line) == 3 and line[1].isdigit()}
    assert f"Of {rows['all']} rows, {rows['reproduced']} are\nreproduced" in README
    assert (rows["off"], rows["inconclusive"]) == ("1", "1")
