"""Greedy layer-wise pre-training of the deep network, from the data upwards."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from bogc.checks import check_number
from bogc.errors import ConfigError
from bogc.models.generative.fit import FitListener, ignore, train
from bogc.models.generative.inputs import check_complete, widths_of
from bogc.models.generative.mdrnn import MDRNN
from bogc.models.generative.objective import Objective
from bogc.models.generative.rbm import MultimodalRBM
from bogc.models.generative.schedule import PUBLISHED, Schedule


def pretrain(
    data: Mapping[str, Tensor],
    layers: Mapping[str, Sequence[int]],
    hidden: int,
    path_objective: Objective,
    joint_objective: Objective,
    schedule: Schedule = PUBLISHED,
    generator: torch.Generator | None = None,
    listen: FitListener = ignore,
) -> MDRNN:
    """Train every layer as an RBM on the means of the one below, the joint layer last.

    Args:
        data: Modality -> [n, width], in [0, 1].
        layers: Modality -> hidden widths of its path from the bottom; left out or empty for none.
        hidden: Joint hidden units.
        path_objective: Trains the layers of a single modality.
        joint_objective: Trains the joint layer.
        schedule: For each layer.
        generator: Source of all randomness, on the data's device; one seeded with 0 if None.
        listen: Called after every epoch of every layer.

    Raises:
        ConfigError: ``layers`` names an unknown modality.
        RangeError: A width is below 1.
        BogcError: The data are unfit, or training diverged.
    """
    check_complete(data, widths_of(data))
    _check_layers(layers, data, hidden)
    device = next(iter(data.values())).device
    generator = generator or torch.Generator(device).manual_seed(0)
    paths: dict[str, list[MultimodalRBM]] = {}
    tops: dict[str, Tensor] = {}
    for name, values in data.items():
        top, path = values, []
        for depth, width in enumerate(layers.get(name, ()), start=1):
            layer = MultimodalRBM.for_data({name: top}, width, generator)
            stage = f"{name} {depth}"
            train(MDRNN(layer), {name: top}, path_objective, schedule, generator, listen, stage)
            path.append(layer)
            with torch.no_grad():
                top = torch.sigmoid(layer.hidden_logits({name: top}))
        paths[name], tops[name] = path, top
    network = MDRNN(MultimodalRBM.for_data(tops, hidden, generator), paths)
    train(network, data, joint_objective, schedule, generator, listen, "joint")
    return network


def _check_layers(layers: Mapping[str, Sequence[int]], data: Mapping[str, Tensor], hidden: int) -> None:
    unknown = [name for name in layers if name not in data]
    if unknown:
        raise ConfigError("layers", f"must be of {list(data)}", unknown, "Name modalities as in the data.")
    for name, widths in (*layers.items(), ("hidden", (hidden,))):
        for width in widths:
            check_number(name, width, width >= 1, "must have at least one unit a layer", "Give widths.")
