"""The multi-modal deep recurrent network: a stack of layers for each modality below a joint RBM."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bogc.errors import ConfigError
from bogc.models.generative.rbm import MultimodalRBM


class MDRNN(nn.Module):
    """Joint RBM over the tops of deterministic paths; run as a recurrent network to fill what is missing.

    A path goes up by its layers' p(h | x) and down by their p(x | h), means in place of samples; both ways
    share weights, while each layer keeps the biases of both of its sides. Without paths it is the
    mean-field recurrent network of the RBM alone. Source: Sohn, Shang and Lee (2014).

    Args:
        joint: RBM over the top of each path (over the modality itself where it has none).
        paths: Modality -> its layers from the bottom, each an RBM over that one modality.

    Raises:
        ConfigError: A path is of an unknown modality, or widths of neighbouring layers differ.
    """

    def __init__(
        self, joint: MultimodalRBM, paths: Mapping[str, Sequence[MultimodalRBM]] | None = None
    ) -> None:
        super().__init__()
        given = {name: tuple(layers) for name, layers in (paths or {}).items()}
        _check_paths(joint, given)
        self.joint = joint
        self._paths = {name: given.get(name, ()) for name in joint.names}
        self.layers = nn.ModuleList([nn.ModuleList(path) for path in self._paths.values()])

    @property
    def widths(self) -> dict[str, int]:
        """Modality -> number of visible units, below its path."""
        return {
            name: path[0].widths[name] if path else self.joint.widths[name]
            for name, path in self._paths.items()
        }

    def path(self, name: str) -> tuple[MultimodalRBM, ...]:
        """The layers of a modality from the bottom."""
        return self._paths[name]

    def encode(self, values: Float[Tensor, "N _"], name: str) -> Float[Tensor, "N _"]:
        """Values of a modality -> means at the top of its path."""
        for layer in self.path(name):
            values = torch.sigmoid(layer.hidden_logits({name: values}))
        return values

    def decode(self, hidden: Float[Tensor, "N H"], name: str) -> Float[Tensor, "N _"]:
        """Joint hidden units -> log odds of the visible units of a modality."""
        logits = self.joint.visible_logits(hidden, name)
        for layer in reversed(self.path(name)):
            logits = layer.visible_logits(torch.sigmoid(logits), name)
        return logits


def _check_paths(joint: MultimodalRBM, paths: Mapping[str, tuple[MultimodalRBM, ...]]) -> None:
    unknown = [name for name in paths if name not in joint.widths]
    if unknown:
        raise ConfigError("paths", f"must be of {list(joint.names)}", unknown, "Name modalities as built.")
    for name, layers in paths.items():
        if any(layer.names != (name,) for layer in layers):
            found = [layer.names for layer in layers]
            remedy = "Build the layers of a path over its own modality."
            raise ConfigError(f"paths[{name!r}]", f"must hold RBMs over {name!r} alone", found, remedy)
        tops = [layer.hidden_units for layer in layers]
        bottoms = [layer.widths[name] for layer in layers[1:]] + [joint.widths[name]]
        if layers and tops != bottoms:
            remedy = "The hidden units of a layer are the visible ones of the next."
            raise ConfigError(f"paths[{name!r}]", f"must have hidden widths {bottoms}", tops, remedy)
