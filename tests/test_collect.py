import json
from pathlib import Path
from typing import Any

import pytest

from docs import collect
from docs.collect import DATA_SETS, claims, summary

PAGE = (
    "before\n<!-- tables -->\n{}\n<!-- /tables -->\nbetween\n<!-- claims -->\n{}\n<!-- /claims -->\nafter\n"
)


def row(method: str, mean: float, difference: float | None, corrected: float | None) -> dict[str, Any]:
    joint = None if difference is None else {"interval": {"mean": difference}, "corrected": corrected}
    without = {"a": {"mean": 0.7, "half": 0.01}, "b": {"mean": 0.5, "half": 0.02}}
    return {"method": method, "accuracy": {"mean": mean, "half": 0.05}, "joint": joint, "without": without}


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    rows = [row("joint", 0.8, None, None), row("sum", 0.9, 0.1, 0.01), row("bogc", 0.75, -0.05, 0.5)]
    for name in DATA_SETS:
        table = {"rows": rows, "fits": 75, "left_out": {}}
        (tmp_path / f"{name}_table.json").write_text(json.dumps(table))
    lost = [rows[0], {"method": "sum", "accuracy": None, "joint": None, "without": {}}, rows[2]]
    table = {"rows": lost, "fits": 75, "left_out": {"mimo": "why"}}
    (tmp_path / f"{DATA_SETS[0]}_table.json").write_text(json.dumps(table))
    return tmp_path


def test_cells_are_read_from_the_files_and_only_corrected_differences_are_marked(docs: Path):
    first, second = (part.splitlines() for part in summary(docs).split("\n\n"))
    assert first[0].split(" | ")[1:] == [f"{name} (75 runs)" + " |" * (name == "kipan") for name in DATA_SETS]
    body = {line.split(" | ")[0].lstrip("| "): line.split(" | ")[1:3] for line in first[2:]}
    assert body["joint"] == ["80.0 ± 5.0", "80.0 ± 5.0"]
    assert body["sum"] == ["–", "90.0 ± 5.0 (+10.0 *)"]
    assert body["bogc"] == ["75.0 ± 5.0 (-5.0)", "75.0 ± 5.0 (-5.0)"]
    assert body["mimo"] == ["–", "–"]
    assert list(body) == ["joint", "sum", "mimo", "bogc"]
    assert "| sum | – | 50.0 ± 2.0 (b) | 50.0 ± 2.0 (b) | 50.0 ± 2.0 (b) |" in second


def test_everything_is_copied_and_only_the_block_of_the_page_changes(
    docs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    root = tmp_path / "root"
    for name in DATA_SETS:
        for source in collect.FILES:
            path = root / "runs" / name / source
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text((docs / f"{name}_table.json").read_text() if source == "table.json" else source)
    (root / "docs").mkdir()
    (root / "docs" / "results.md").write_text(PAGE.format("old", "old"))
    monkeypatch.setattr(collect, "ROOT", root)
    collect.main()
    assert (root / "docs" / "results.md").read_text() == PAGE.format(summary(docs), claims())
    assert {path.name for path in (root / "docs").iterdir()} == {
        "results.md",
        *(target.format(name) for name in DATA_SETS for target in collect.FILES.values()),
    }
