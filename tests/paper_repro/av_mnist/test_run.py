from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from bogc.errors import ConfigError, DataError, RangeError
from paper_repro.__main__ import app
from paper_repro.av_mnist.config import AvMnistConfig
from paper_repro.av_mnist.run import EXPERIMENT, parts, tasks
from paper_repro.results import FILE, carry_out, read_results


@pytest.fixture(autouse=True)
def single_precision():
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("digits")
def test_one_command_gives_every_series(tmp_path: Path):
    arguments = ["run", "i2m2-av-mnist", "--quick", "--jobs", "1", "--folder", str(tmp_path / "out")]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    results = read_results(tmp_path / "out" / EXPERIMENT.folder / FILE)
    assert results is not None
    for series in EXPERIMENT.series:
        assert len(results.values_of(series.key)) == 1, series.key


def test_parts_follow_each_other(digits: Path):
    found = parts(digits, AvMnistConfig(train=12))
    labels = [np.load(digits / f"{part}_labels.npy") for part in ("train", "test")]
    assert found.train.targets.tolist() == labels[0][:12].tolist()
    assert found.validation.targets.tolist() == labels[0][12:].tolist()
    assert found.test.targets.tolist() == labels[1].tolist()
    with pytest.raises(RangeError, match=r"train must lie in 2 \.\. 16; found 17"):
        parts(digits, AvMnistConfig(train=17))


def test_full_configuration_has_five_seeds():
    assert list(tasks(EXPERIMENT.full)) == [f"seed {seed}" for seed in range(5)]


def test_absent_and_damaged_data_are_refused(digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (digits / "audio" / "test_data.npy").write_bytes(b"\x93NUMPY damaged")
    with pytest.raises(DataError, match=r"audio/test_data\.npy must be an array of numbers"):
        carry_out(EXPERIMENT, EXPERIMENT.quick, tmp_path / FILE)
    monkeypatch.delenv("BOGC_AV_MNIST")
    with pytest.raises(ConfigError, match="BOGC_AV_MNIST must name the folder"):
        carry_out(EXPERIMENT, EXPERIMENT.quick, tmp_path / FILE)
