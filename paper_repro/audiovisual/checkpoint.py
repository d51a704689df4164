"""The weights that the authors of OGM-GE released for CREMA-D, tested on the clips as our code reads them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from bogc.checks import check_number
from bogc.errors import DataError
from bogc.models import MultimodalClassifier
from paper_repro.audiovisual.fitting import accuracy
from paper_repro.audiovisual.network import build_network
from paper_repro.audiovisual.pretrained import our_name
from paper_repro.audiovisual.sources import AUDIO_VISUAL
from paper_repro.experiment import Experiment, Series, Task
from paper_repro.readers.crema_d import CLASSES, FOLDER, read_crema_d
from paper_repro.readers.files import folder_named_by

VARIABLE: Final = "BOGC_OGM_GE_CHECKPOINTS"
"""Environment variable with the path of a folder that holds the released ``.pth`` files."""
MODULATIONS: Final = {"Normal": "baseline", "OGM_GE": "ogm-ge"}
"""What a file says of itself -> end of the ledger row."""
NETS: Final = {"audio": "module.audio_net.", "visual": "module.visual_net."}
HEAD: Final = "module.fusion_module.fc_out."

_REMEDY: Final = "Fetch the files again from zenodo.org/record/6778788."


@dataclass(frozen=True)
class CheckpointConfig:
    """Settings of the test.

    Attributes:
        batch_size: Clips at a time.
        side: Height and width of a frame in pixels.

    Raises:
        RangeError: One is not positive.
    """

    batch_size: int = 64
    side: int = 224

    def __post_init__(self) -> None:
        for name in ("batch_size", "side"):
            value = getattr(self, name)
            check_number(name, value, value >= 1, "must be at least 1", "Choose a larger number.")


def tasks(config: CheckpointConfig) -> Mapping[str, Task]:
    """Name the two tests."""
    return {name: partial(run, config, name) for name in MODULATIONS}


def run(config: CheckpointConfig, modulation: str) -> dict[str, float]:
    """Test the released weights of one method on the 744 clips."""
    saved = find(folder_named_by(VARIABLE), modulation)
    clips = read_crema_d(folder_named_by(FOLDER), "test", side=config.side)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = restored(saved).to(device)
    return {f"checkpoint, {modulation}": accuracy(model, clips, config.batch_size)}


def find(folder: Path, modulation: str) -> Mapping[str, Tensor]:
    """Read the weights of the one ``.pth`` file that says it was trained with ``modulation``.

    Nothing but tensors and plain values is read from it.

    Raises:
        DataError: A file is damaged, or there is not one such file.
    """
    files = sorted(folder.glob("*.pth"))
    found = [content for content in map(_read, files) if content.get("modulation") == modulation]
    if len(found) != 1 or not isinstance(found[0].get("model"), Mapping):
        rule = f"must hold one .pth file with a model of modulation {modulation}"
        raise DataError(str(folder), rule, f"{len(found)} of {len(files)} files", _REMEDY)
    weights: Mapping[str, Tensor] = found[0]["model"]
    return weights


def restored(weights: Mapping[str, Tensor]) -> MultimodalClassifier:
    """Build the released network with these weights; its unimodal heads are ours, and not trained.

    Raises:
        DataError: The weights are those of another network.
    """
    model = build_network(AUDIO_VISUAL, "concat", len(CLASSES))
    for modality, prefix in NETS.items():
        own = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
        _load(model.encoders[modality], {our_name(name): value for name, value in own.items()})
    head = {f"linear.{kind}": weights[HEAD + kind] for kind in ("weight", "bias") if HEAD + kind in weights}
    _load(model.fusion, head)
    return model


def _read(path: Path) -> Mapping[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or dangerous file may raise anything
        raise DataError(str(path), "must be a checkpoint of plain values", error, _REMEDY) from error
    return content if isinstance(content, Mapping) else {}


def _load(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    shapes = {name: value.shape for name, value in module.state_dict().items()}
    if {name: value.shape for name, value in weights.items()} != shapes:
        rule = "must have the parameters of two ResNet-18 and a linear layer"
        raise DataError("the checkpoint", rule, f"{len(weights)} of {len(shapes)} or other shapes", _REMEDY)
    module.load_state_dict(weights)


CHECKPOINTS: Final = Experiment(
    name="ogm-ge-checkpoints",
    folder="audiovisual/ogm_ge_checkpoints",
    title="The weights that OGM-GE's authors released for CREMA-D",
    paper="Peng et al. 2022, arXiv 2203.15332",
    unit="accuracy, percent",
    full=CheckpointConfig(),
    quick=CheckpointConfig(batch_size=8, side=32),
    tasks=tasks,
    series=tuple(
        Series(
            f"checkpoint, {name}",
            f"released weights, modulation {name}, on the 744 test clips",
            row=f"ogm-ge-crema-d-released-checkpoint-{row}",
        )
        for name, row in MODULATIONS.items()
    ),
    hours="two tests without training, on data and files that must be got first; not timed yet",
)
