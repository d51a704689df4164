import pytest

from bogc.training.cost import Cost
from paper_repro.ledger import read_published
from paper_repro.mimo_subroutine import run
from paper_repro.mimo_subroutine.config import MimoTimeConfig
from paper_repro.mimo_subroutine.curve import PUBLISHED, blocks, curve
from paper_repro.mimo_subroutine.run import EXPERIMENT, READINGS, ROW, key, largest, milliseconds, step, tasks
from paper_repro.mimo_subroutine.subroutines import BASELINES, TORCHJD
from paper_repro.results import FILE, Results, Run, carry_out, finished
from paper_repro.rounding import three_digits

QUICK = EXPERIMENT.quick


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    if not TORCHJD:
        pytest.skip("torchjd is not installed")
    return carry_out(EXPERIMENT, QUICK, tmp_path_factory.mktemp("mimo") / FILE)


def test_quick_configuration_gives_every_series_and_cell(results: Results):
    [only] = results.runs.values()
    assert all(value > 0 for value in only.values.values())
    expected = {series.key for series in EXPERIMENT.series}
    expected |= {key(r, m, d) for r in READINGS for m in BASELINES for d in QUICK.sizes}
    expected |= {milliseconds(m, d) for m in (*READINGS, *BASELINES) for d in QUICK.sizes}
    assert only.values.keys() == expected


def test_the_largest_is_that_of_the_judged_size(results: Results):
    [values] = [only.values for only in results.runs.values()]
    for reading in READINGS:
        cells = [values[key(reading, method, QUICK.judged)] for method in BASELINES]
        assert values[largest(reading)] == max(cells)


def test_ratios_are_within_a_round_and_over_the_reading(monkeypatch: pytest.MonkeyPatch):
    seconds = {name: [float(n), 2.0 * n] for n, name in enumerate((*READINGS, *BASELINES), start=1)}
    monkeypatch.setattr(run, "interleaved", lambda functions, rounds: seconds)
    monkeypatch.setattr(run, "subroutines", lambda rows, losses: {})
    cost = Cost(ratio=2.0, low=1.0, high=3.0, milliseconds=1.0)
    costs = dict.fromkeys(["mimo", *run.STEPS.values()], cost)
    monkeypatch.setattr(run, "step_costs", lambda *ignored: costs)
    values = run.run_repeat(MimoTimeConfig(sizes=(10,), judged=10), 0)
    assert values[key(READINGS[0], BASELINES[0], 10)] == 3
    assert values[key(READINGS[1], BASELINES[0], 10)] == 1.5
    assert values[largest(READINGS[0])] == 8
    assert values[milliseconds(BASELINES[0], 10)] == 4500
    assert values[step("MGDA")] == 1


def test_the_row_is_an_up_to_over_both_readings():
    [answer] = [series for series in EXPERIMENT.series if series.row]
    assert answer.row == ROW
    assert answer.up_to == tuple(largest(reading) for reading in READINGS)
    [row] = [row for row in read_published() if row.row == ROW]
    assert (row.number, row.provenance) == (PUBLISHED, "abstract")
    assert "up to" in row.note


def test_full_configuration_reaches_from_small_to_beyond_a_resnet():
    sizes = EXPERIMENT.full.sizes
    assert (sizes[0], 11_200_000 in sizes, sizes[-1]) == (100_000, True, 30_000_000)
    assert len(tasks(EXPERIMENT.full)) == 5


def test_table_and_picture_show_median_and_range(results: Results):
    _, _, table, reached, picture = blocks(results)
    assert table.header[2:] == ("D = 1,000", "D = 4,000")
    assert len(table.rows) == len(READINGS) * len(BASELINES)
    value = results.values_of(key(READINGS[0], "MGDA", 1000))["repeat 0"]
    shown = three_digits(value)
    assert table.rows[0][:3] == ("MGDA", READINGS[0], f"{shown} ({shown} to {shown})")
    figure = curve(results)
    left = figure.axes[0]
    drawn = {line.get_label(): list(line.get_ydata()) for line in left.lines}
    assert drawn["MGDA"][0] == value
    assert picture.name.endswith(".png")
    assert reached.text.startswith(f"Sizes D at which some method's median reaches {PUBLISHED}: over ")


def test_median_over_runs_not_mean():
    runs = {f"repeat {n}": _finished(v) for n, v in enumerate((1.0, 2.0, 90.0))}
    _, _, table, reached, _ = blocks(Results("mimo-subroutine", {"sizes": [7, 8000]}, "x", runs))
    assert table.rows[0][2:] == ("2 (1 to 90)", "20 (10 to 900)")
    assert reached.text.endswith(f"over *{READINGS[0]}* 8,000, and over *{READINGS[1]}* none.")


def _finished(value: float) -> Run:
    first = {key(READINGS[0], method, 7): value for method in BASELINES}
    first |= {key(READINGS[0], method, 8000): 10 * value for method in BASELINES}
    second = {key(READINGS[1], method, size): 1.0 for method in BASELINES for size in (7, 8000)}
    return finished(first | second, 0.0)
