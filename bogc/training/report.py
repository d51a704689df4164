"""One self-contained HTML page of a run or a comparison, to hover over. Importing it needs plotly."""

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bogc.errors import CheckpointError, UnsuitableError
from bogc.training.pictures import COLOURS, FUSED
from bogc.training.statistics import Interval
from bogc.training.storage import read_json, read_records, write_atomically

try:
    from plotly.graph_objects import Bar, Figure, Heatmap, Scatter
    from plotly.offline import get_plotlyjs
    from plotly.subplots import make_subplots
except ImportError as error:
    raise UnsuitableError("report", "needs plotly", error, "Run pip install 'bogc[report]'.") from None

Records = Sequence[Mapping[str, Any]]
Section = tuple[str, str, Figure | str]
"""Title, one paragraph, and a picture or a table."""
FIELDS: Final = {"uncertainty": "u", "weight": "w"}
STYLE: Final = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; font-size: .9rem } td, th { padding: .2rem .7rem; text-align: left }
tr:nth-child(even) { background: #f4f4f4 } h2 { margin-top: 2.5rem }
"""


def write_report(folder: Path) -> Path:
    """Write ``folder``/report.html, atomically, and return its path.

    Args:
        folder: Of a run, or of a comparison.

    Raises:
        CheckpointError: It is neither.
    """
    if (folder / "table.json").is_file():
        sections = of_comparison(read_json(folder / "table.json"))
    elif (folder / "records.jsonl").is_file() and (folder / "config.json").is_file():
        result = read_json(folder / "result.json") if (folder / "result.json").is_file() else {}
        sections = of_run(
            read_records(folder / "records.jsonl"), read_json(folder / "config.json"), result.get("test", {})
        )
    else:
        rule, remedy = "must be the folder of a run or a comparison", "Give one that bogc has written to."
        raise CheckpointError(str(folder), rule, "neither table.json nor records.jsonl", remedy)
    text = page(folder.resolve().name, sections)
    path = folder / "report.html"
    write_atomically(path, lambda file: file.write(text.encode()))
    return path


def of_run(records: Records, config: Mapping[str, Any], test: Mapping[str, Any]) -> list[Section]:
    """Sections on a run; what there are no records of yet is left out."""
    epochs = [record for record in records if record["kind"] == "epoch"]
    steps = [record for record in records if record["kind"] == "step" and record["blocks"]]
    found: list[Section] = []
    if epochs:
        note = "Loss of each source on the last batch of an epoch; accuracy and loss on validation data."
        found.append(("Learning curves", note, curves(epochs)))
    if steps:
        for field, symbol in FIELDS.items():
            note = f"{symbol} of each source in each layer, mean over its dimensions, step by step."
            found.append((field.capitalize(), note, by_layer(steps, field, symbol)))
        note = "Dempster's conflict C between the sources, and the fused u, mean over each layer."
        found.append(("Conflict and fused uncertainty", note, fused_by_layer(steps)))
    if test:
        note = "Test accuracy of each modality's own head, of a linear probe on its encoder, and without it."
        found.append(("Test", note, probes(test)))
    settings = {k: v for k, v in config.items() if not isinstance(v, Mapping)}
    own = config.get(str(config.get("method")), config.get("calibration", {}))
    found.append(("Settings", "Of this run.", table(("setting", "value"), [*(settings | own).items()])))
    return found


def curves(epochs: Records) -> Figure:
    """Losses left, validation scores right."""
    figure = _panels(["cross-entropy (nats)", "on validation"])
    x = [record["epoch"] + 1 for record in epochs]
    for index, source in enumerate(epochs[-1]["losses"]):
        y = [record["losses"][source] for record in epochs]
        _line(figure, 1, x, y, f"last batch, {source}", COLOURS[index % len(COLOURS)])
    _line(figure, 1, x, [r["validation"]["nll"] for r in epochs], "validation, fusion", "#000000")
    for name, colour in (("accuracy", COLOURS[4]), ("macro_f1", COLOURS[5])):
        _line(figure, 2, x, [r["validation"][name] for r in epochs], f"validation, {name}", colour)
    return figure.update_xaxes(title="epoch", dtick=max(1, len(x) // 8)).update_yaxes(type="log", col=1)


def by_layer(steps: Records, field: str, symbol: str) -> Figure:
    """One heat map a source: layers down, steps along."""
    layers = list(steps[-1]["blocks"])
    sources = list(dict.fromkeys(s for name in layers for s in steps[-1]["blocks"][name][field]))
    figure = _panels(sources, shared_yaxes=True)
    for column, source in enumerate(sources, 1):
        values = [
            [step["blocks"].get(name, {}).get(field, {}).get(source) for step in steps] for name in layers
        ]
        _heat(figure, column, [step["step"] for step in steps], layers, values, symbol)
    return _tall(figure, layers)


def fused_by_layer(steps: Records) -> Figure:
    """Heat maps of the conflict and of the fused uncertainty; layers that one source reaches have none."""
    layers = [name for name, block in steps[-1]["blocks"].items() if len(block["uncertainty"]) > 1]
    names = {"conflict": "C", "fused_uncertainty": "u"}
    figure = _panels(["conflict", "fused uncertainty"], shared_yaxes=True)
    for column, (field, symbol) in enumerate(names.items(), 1):
        values = [[step["blocks"].get(name, {}).get(field) for step in steps] for name in layers]
        _heat(figure, column, [step["step"] for step in steps], layers, values, symbol)
    return _tall(figure.update_layout(coloraxis_colorbar_title="C, u"), layers)


def probes(test: Mapping[str, Any]) -> Figure:
    """Bars by modality, and the fused accuracy as a line."""
    figure = _panels([f"{FUSED}: {test['fused']['accuracy']:.3f}"])
    bars = {"own head": "unimodal", "linear probe": "probes", "fused without it": "without"}
    for colour, (label, key) in zip(COLOURS, bars.items(), strict=False):
        figure.add_trace(Bar(x=list(test[key]), y=list(test[key].values()), name=label, marker_color=colour))
    figure.add_hline(test["fused"]["accuracy"], line_dash="dash")
    return figure.update_yaxes(range=[0, 1], title="accuracy")


def of_comparison(kept: Mapping[str, Any]) -> list[Section]:
    """Sections on a finished comparison, from what table.json holds."""
    rows = [row for row in kept["rows"] if row["accuracy"] is not None]
    folds = max((row["folds"] for row in rows), default=0)
    note = f"Mean and 95 % interval over {folds} folds." if folds > 1 else "One fold: there is no interval."
    found: list[Section] = [
        ("Test accuracy", note, intervals([(row["method"], row["accuracy"]) for row in rows], "accuracy (%)"))
    ]
    paired = [(row["method"], row["joint"]["interval"]) for row in rows if row["joint"] is not None]
    if paired:
        note = "Paired difference to joint training, with its corrected 95 % interval, in points."
        found.append(("Difference to joint training", note, intervals(paired, "points")))
    columns = ("method", "folds", "accuracy %", "macro-F1 %", "NLL", "ms a step", "MB", "trials diverged")
    lines = [
        [
            *(row["method"], row["folds"]),
            *(Interval(**row[name]).percent() for name in ("accuracy", "macro_f1")),
            *(Interval(**row["nll"]), _number(row["milliseconds"]), _number(row["megabytes"])),
            row["diverged_trials"],
        ]
        for row in rows
    ]
    found.append(("Numbers", f"{kept['fits']:,} runs in all.", table(columns, lines)))
    for method, reason in kept["left_out"].items():
        found.append((f"Left out: {method}", str(reason), ""))
    return found


def intervals(rows: Sequence[tuple[str, Mapping[str, float | None]]], label: str) -> Figure:
    """A point and an interval a method, in per cent."""
    half = [100 * (interval["half"] or 0) for _, interval in rows]
    x = [100 * (interval["mean"] or 0) for _, interval in rows]
    points = Scatter(x=x, y=[method for method, _ in rows], mode="markers", marker_color=COLOURS[0])
    figure = _panels([""]).add_trace(points.update(error_x={"type": "data", "array": half}))
    return _tall(figure, rows).update_xaxes(title=label)


def table(columns: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    """An HTML table; all text is escaped."""
    head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in line) + "</tr>" for line in lines
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def page(title: str, sections: Sequence[Section]) -> str:
    """An HTML page that loads nothing: plotly's script is part of it."""
    parts, config = [f"<h1>{html.escape(title)}</h1>"], {"displayModeBar": False}
    for name, note, content in sections:
        options = {"include_plotlyjs": False, "full_html": False}
        shown = content if isinstance(content, str) else content.to_html(config, **options)
        parts.append(f"<h2>{html.escape(name)}</h2><p>{html.escape(note)}</p>{shown}")
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style>'
    script = f"<script>{get_plotlyjs()}</script>"
    return f"<!doctype html><html><head>{head}{script}</head><body>{''.join(parts)}</body></html>"


def _panels(titles: Sequence[str], **options: Any) -> Figure:
    figure = make_subplots(1, len(titles), subplot_titles=[html.escape(title) for title in titles], **options)
    return figure.update_layout(template="plotly_white", height=380, margin={"t": 40, "b": 40})


def _line(figure: Figure, column: int, x: Sequence[Any], y: Sequence[Any], name: str, colour: str) -> None:
    figure.add_trace(Scatter(x=x, y=y, name=html.escape(name), line_color=colour), row=1, col=column)


def _heat(
    figure: Figure, column: int, x: Sequence[int], y: Sequence[str], z: Sequence[Sequence[Any]], symbol: str
) -> None:
    hover = f"%{{y}}<br>step %{{x}}: {symbol} = %{{z:.3f}}<extra></extra>"
    names = [html.escape(name) for name in y]
    heat = Heatmap(x=x, y=names, z=z, zmin=0, zmax=1, coloraxis="coloraxis", hovertemplate=hover)
    figure.add_trace(heat, row=1, col=column)
    figure.update_layout(coloraxis={"cmin": 0, "cmax": 1, "colorscale": "Viridis", "colorbar_title": symbol})
    figure.update_xaxes(title="step").update_yaxes(autorange="reversed", col=1)


def _tall(figure: Figure, lines: Sequence[object]) -> Figure:
    return figure.update_layout(height=max(260, 110 + 22 * len(lines)))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
