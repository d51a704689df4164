from pathlib import Path

import pytest
import torch
from torch import Tensor

from bogc.errors import ConfigError, DataError, RangeError
from paper_repro.audiovisual.checkpoint import CHECKPOINTS, CheckpointConfig, find, restored, tasks
from paper_repro.audiovisual.network import build_network
from paper_repro.audiovisual.sources import AUDIO_VISUAL
from paper_repro.results import FILE, carry_out

from .conftest import their_name


@pytest.fixture(autouse=True)
def single_precision():
    torch.set_default_dtype(torch.float32)


def released_weights(seed: int) -> tuple[dict[str, Tensor], torch.nn.Module]:
    """A drawn network under the names of the released code, and itself."""
    torch.manual_seed(seed)
    model = build_network(AUDIO_VISUAL, "concat", 6)
    weights = {
        f"module.{modality}_net.{their_name(name)}": value
        for modality, encoder in model.encoders.items()
        for name, value in encoder.state_dict().items()
    }
    for name, value in model.fusion.state_dict().items():
        weights[f"module.fusion_module.fc_out.{name.removeprefix('linear.')}"] = value
    return weights, model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoints")
    torch.set_default_dtype(torch.float32)
    for seed, modulation in enumerate(("Normal", "OGM_GE")):
        weights, _ = released_weights(seed)
        saved = {"saved_epoch": 3, "modulation": modulation, "alpha": 0.8, "model": weights}
        torch.save(saved, path / f"{seed}.pth")
    torch.save([1.0], path / "other.pth")
    return path


def test_the_restored_network_computes_what_the_saved_one_did(folder: Path):
    _, model = released_weights(1)
    again = restored(find(folder, "OGM_GE"))
    inputs = {"audio": torch.randn(2, 1, 40, 40), "visual": torch.randn(2, 3, 1, 32, 32)}
    expected = model.eval()(inputs).fused
    torch.testing.assert_close(again.eval()(inputs).fused, expected, rtol=0, atol=0)


@pytest.mark.usefixtures("crema_d")
def test_both_rows_get_a_value(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("BOGC_OGM_GE_CHECKPOINTS", str(folder))
    results = carry_out(CHECKPOINTS, CHECKPOINTS.quick, tmp_path / FILE)
    for series in CHECKPOINTS.series:
        assert [0 <= value <= 100 for value in results.values_of(series.key).values()] == [True]


def test_without_the_files_the_run_says_what_to_set(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("BOGC_OGM_GE_CHECKPOINTS", raising=False)
    with pytest.raises(ConfigError, match="BOGC_OGM_GE_CHECKPOINTS must name the folder"):
        tasks(CHECKPOINTS.quick)["Normal"]()


def test_an_ambiguous_empty_or_broken_folder_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"must hold one \.pth file .* modulation Normal; found 0 of 0 files"):
        find(tmp_path, "Normal")
    for name in ("a.pth", "b.pth"):
        torch.save({"modulation": "Normal", "model": {}}, tmp_path / name)
    with pytest.raises(DataError, match="modulation Normal; found 2 of 2 files"):
        find(tmp_path, "Normal")
    (tmp_path / "a.pth").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"a\.pth must be a checkpoint of plain values"):
        find(tmp_path, "Normal")


@pytest.mark.parametrize("lost", ["module.audio_net.conv1.weight", "module.fusion_module.fc_out.bias"])
def test_weights_of_another_network_are_refused(folder: Path, lost: str):
    weights = {name: value for name, value in find(folder, "Normal").items() if name != lost}
    with pytest.raises(DataError, match="must have the parameters of two ResNet-18 and a linear layer"):
        restored(weights)


@pytest.mark.parametrize("setting", ["batch_size", "side"])
def test_settings_are_checked(setting: str):
    with pytest.raises(RangeError, match=f"{setting} must be at least 1; found 0"):
        CheckpointConfig(**{setting: 0})
