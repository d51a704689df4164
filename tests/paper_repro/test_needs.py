import importlib
import re

from paper_repro.experiments import EXPERIMENTS
from paper_repro.ledger import read_published
from paper_repro.needs import NEEDS, NO_ADAPTER, NO_EXPERIMENT, need_of
from paper_repro.status import Kind


def test_every_row_has_an_experiment_or_a_need_and_both_only_if_the_data_are_not_here():
    answered = {series.row for each in EXPERIMENTS.values() for series in each.series if series.row}
    for row in read_published():
        assert row.row in answered or row.dataset in NEEDS, row.row
        if row.row in answered and row.dataset in NEEDS:
            assert NEEDS[row.dataset].kind is Kind.NEEDS_DATA, row.row


def test_no_need_is_left_over():
    assert set(NEEDS) <= {row.dataset for row in read_published()}


def test_a_need_says_which_data_from_where_and_what_runs_then():
    for need in NEEDS.values():
        assert need.kind in (Kind.NEEDS_DATA, Kind.NOT_AVAILABLE)
        if need.kind is Kind.NEEDS_DATA:
            assert str(need) == f"{need.data}; {need.origin}; {need.command}"
            assert need.command == NO_ADAPTER or "paper_repro.readers." in need.command


def test_an_adapter_that_is_named_can_be_called():
    for need in NEEDS.values():
        if "paper_repro.readers." in need.command:
            named = re.search(r"(paper_repro\.readers\.\w+):(\w+)", need.command)
            assert named
            assert callable(getattr(importlib.import_module(named[1]), named[2]))


def test_rows_without_a_number_are_not_available():
    for row in read_published():
        if row.number is None:
            assert NEEDS[row.dataset].kind is Kind.NOT_AVAILABLE


def test_a_row_without_an_experiment_says_why():
    answered = {series.row for each in EXPERIMENTS.values() for series in each.series if series.row}
    rows = {row.row: row for row in read_published()}
    for name, reason in NO_EXPERIMENT.items():
        assert name not in answered
        need = need_of(name, rows[name].dataset)
        assert (need.kind, need.command) == (Kind.NEEDS_DATA, reason)
        assert "paper_repro.readers." in NEEDS[rows[name].dataset].command
    assert need_of("mimo-ave-mimo", "AVE") == NEEDS["AVE"]
