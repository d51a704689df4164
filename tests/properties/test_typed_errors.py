"""Misuse raises a typed error with its four parts, at run time; and the static checker finds it before."""

import json
from pathlib import Path

import pytest
from jaxtyping import TypeCheckError
from mypy import api

from bogc.belief import Opinion
from tests.processes import printed
from tests.properties.unhooked import CASES, EVIDENCE

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def found() -> dict[str, list[str]]:
    """What each misuse raises in a process without the import hook of the tests; one for all."""
    return dict(json.loads(printed("from tests.properties.unhooked import main\nmain()")))


@pytest.mark.parametrize("name", CASES)
def test_misuse_raises_a_typed_error_that_says_what_to_do(found, name):
    error, message = found[name]
    assert error == CASES[name].error
    assert message.startswith(f"{CASES[name].rule}. {CASES[name].remedy}")


def test_under_the_hook_the_annotation_is_checked_first():
    with pytest.raises(TypeCheckError, match="parameter 'dirichlet'"):
        Opinion.from_dirichlet(EVIDENCE)


SNIPPET = """
from bogc.belief import DirichletBelief, Evidence, Opinion
from bogc.combination import reduced

def fuse(evidence: Evidence, opinion: Opinion) -> None:
    reduced.combine([opinion, opinion])
    reduced.combine([opinion, evidence])  # wrong
    Opinion.from_dirichlet(evidence)  # wrong
    Opinion.from_dirichlet(DirichletBelief.from_evidence(evidence))
    found: Opinion = evidence  # wrong
"""
SETTINGS = """
[mypy]
[mypy-torch.*,pyro.*,jaxtyping.*]
follow_imports = skip
"""


def test_the_static_checker_finds_evidence_where_an_opinion_is_due(tmp_path, monkeypatch):
    """The libraries are skipped, which makes their types Any and the check quick; ours are read."""
    snippet, settings = tmp_path / "snippet.py", tmp_path / "mypy.ini"
    snippet.write_text(SNIPPET)
    settings.write_text(SETTINGS)
    monkeypatch.chdir(ROOT)
    report, errors, status = api.run(
        [
            "--config-file",
            str(settings),
            "--cache-dir",
            str(tmp_path / "cache"),
            "--follow-imports=silent",
            str(snippet),
        ]
    )
    assert (status, errors) == (1, "")
    wrong = [number for number, line in enumerate(SNIPPET.splitlines(), 1) if line.endswith("# wrong")]
    lines = [line for line in report.splitlines() if ": error: " in line]
    assert [int(line.split(":")[1]) for line in lines] == wrong
    assert all('"Evidence"' in line for line in lines)
