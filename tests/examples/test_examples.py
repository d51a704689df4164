"""Each program of examples/ runs as it stands, is short, and trains what it says."""

import ast
import re
import runpy
import warnings
from pathlib import Path

import pytest
import torch

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))
SCORES = {  # pattern of a printed score -> what it must exceed, far above chance
    "audio_image": (r"accuracy on new samples: (.*)", 0.9),
    "missing_modality": (r"accuracy on new samples with all three: (.*)", 0.9),
    "regression": (r"squared error of radar on new samples: position (.*),", 0.5),  # it cannot see it
    "segmentation": (r"Dice on new samples: disc (.*),", 0.8),
    "series_table": (r"accuracy on new samples: (.*)", 0.7),
    "text_image": (r"accuracy on new samples: (.*)", 0.9),
}
NEEDS = {"text_image": "transformers"}


@pytest.fixture
def printed(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> str:
    path: Path = request.param
    if path.stem in NEEDS:
        pytest.importorskip(NEEDS[path.stem], reason=f"{NEEDS[path.stem]} is not installed")
    torch.set_default_dtype(torch.float32)
    torch.use_deterministic_algorithms(False)
    with warnings.catch_warnings():  # of other libraries
        warnings.simplefilter("ignore")
        runpy.run_path(str(path), run_name="__main__")
    return capsys.readouterr().out


def test_there_is_one_for_each_case():
    assert {path.stem for path in EXAMPLES} == set(SCORES)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_is_short_and_says_how_to_run_it(path: Path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 120
    assert f"$ python examples/{path.name}\n" in (ast.get_docstring(ast.parse(text)) or "")
    assert "manual_seed(0)" in text


@pytest.mark.parametrize("printed", EXAMPLES, ids=lambda path: path.stem, indirect=True)
def test_trains_and_tells(printed: str, request: pytest.FixtureRequest):
    losses = re.findall(r"(\w+) loss: ([\d.]+) before, ([\d.]+) after", printed)
    assert len(losses) >= 3
    for name, before, after in losses:
        assert float(after) < float(before) * (0.5 if name == "fusion" else 0.9), name
    rows = re.findall(r"^(\S+) +(\w+) +(\d\.\d\d) +(\d\.\d\d)$", printed, re.MULTILINE)
    weights: dict[str, float] = {}
    for layer, _, uncertainty, weight in rows:
        assert 0 < float(uncertainty) < 1
        weights[layer] = weights.get(layer, 0.0) + float(weight)
    assert len(weights) >= 5
    assert all(total == pytest.approx(1, abs=0.02) for total in weights.values())
    pattern, least = SCORES[request.node.callspec.id]
    assert float(re.findall(pattern, printed)[0]) > least
