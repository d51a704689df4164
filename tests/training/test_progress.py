import io
import json
import time
from pathlib import Path

from rich.console import Console

from bogc.training import TrainConfig, progress
from bogc.training.loop import Progress


def console() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=120)


def test_status_shows_what_is_known():
    assert progress.status(None, None) == ""
    assert progress.status(0.5, None) == "loss 0.500"
    assert progress.status(0.5, 0.75) == "loss 0.500  val acc 0.750"


def test_one_run_shows_loss_accuracy_and_position():
    screen = console()
    with progress.one_run(screen, "bogc on tiny") as listen:
        listen(Progress(step=5, steps=10, loss=0.25, validation_accuracy=0.5))
    text = screen.file.getvalue()
    for part in ("bogc on tiny", "5/10", "loss 0.250", "val acc 0.500"):
        assert part in text


def test_many_runs_follows_the_records_on_disk(tmp_path: Path):
    config = TrainConfig(epochs=4)
    folder = tmp_path / config.run_name
    folder.mkdir()
    records = [
        {"kind": "epoch", "step": 3, "epoch": 0, "losses": {"fusion": 1.0}, "validation": {"accuracy": 0.5}},
        {"kind": "step", "step": 4, "losses": {"fusion": 0.75}, "blocks": {}},
    ]
    (folder / "records.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    screen = console()
    with progress.many_runs(screen, "seeds", tmp_path, [config]) as count:
        time.sleep(3 * progress.POLL_SECONDS)
        (folder / "fit.json").write_text("{}")
        time.sleep(2 * progress.POLL_SECONDS)
        count()
    text = screen.file.getvalue()
    for part in ("bogc fold 0 seed 0 lr 0.02", "1/4", "loss 0.750", "val acc 0.500", "1/1"):
        assert part in text
