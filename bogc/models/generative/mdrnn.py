"""The multi-modal deep recurrent network, and mean-field inference, which fills missing modalities."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from bogc.checks import check_alike, check_number
from bogc.errors import ConfigError
from bogc.models.generative.rbm import MultimodalRBM, check_inputs


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


@dataclass(frozen=True, eq=False)
class Kept:
    """Units of missing modalities that are known all the same.

    Attributes:
        values: Modality -> its values, 0 where not kept, [N, width].
        masks: Modality -> 1 where kept, else 0, [N, width].
        most: Largest share that may be kept: what the scale of the start reckons with.
    """

    values: Mapping[str, Tensor] = field(default_factory=dict)
    masks: Mapping[str, Tensor] = field(default_factory=dict)
    most: float = 0.0

    def blend(self, name: str, means: Tensor) -> Tensor:
        """Means, with the kept units put back."""
        return means * (1 - self.masks[name]) + self.values[name] if name in self.masks else means


NOTHING_KEPT = Kept()


def missing_from(network: MDRNN, observed: Mapping[str, Tensor]) -> tuple[str, ...]:
    """The modalities that are not observed, in the network's order."""
    return tuple(name for name in network.joint.names if name not in observed)


def start_hidden(
    network: MDRNN, features: Mapping[str, Float[Tensor, "N _"]], kept: Kept = NOTHING_KEPT
) -> Float[Tensor, "N H"]:
    """First hidden means: the observed features, scaled up to stand in for what is missing.

    With M modalities of which some are observed, their input is multiplied by M / observed (doubled, for
    one of two); what may be kept of a missing modality is taken off that.
    """
    missing = missing_from(network, features)
    factor = (len(network.joint.names) - kept.most * len(missing)) / len(features)
    parts = {name: factor * values for name, values in features.items()}
    for name, values in kept.values.items():
        # behind a path the units that are not kept speak too, through biases
        weight = kept.most if network.path(name) else 1.0
        parts[name] = weight * network.encode(values, name)
    return torch.sigmoid(network.joint.hidden_logits(parts))


def predict(
    network: MDRNN, hidden: Float[Tensor, "N H"], missing: tuple[str, ...], kept: Kept = NOTHING_KEPT
) -> dict[str, Tensor]:
    """Means of the missing modalities, second half of a round of 6.41."""
    return {name: kept.blend(name, torch.sigmoid(network.decode(hidden, name))) for name in missing}


def infer_hidden(
    network: MDRNN, held: Float[Tensor, "N H"], means: Mapping[str, Float[Tensor, "N _"]]
) -> Float[Tensor, "N H"]:
    """Hidden means for given means of the missing modalities, first half of a round of 6.41.

    Args:
        network: The model.
        held: Hidden input from bias and observed features.
        means: Missing modality -> means, at least one.
    """
    encoded = {name: network.encode(values, name) for name, values in means.items()}
    return torch.sigmoid(held + network.joint.project(encoded))


def unroll(
    network: MDRNN, observed: Mapping[str, Float[Tensor, "N _"]], rounds: int, kept: Kept = NOTHING_KEPT
) -> tuple[Float[Tensor, "N H"], dict[str, Tensor]]:
    """Run a fixed number of rounds, differentiable in every parameter of the network.

    Returns:
        Hidden means after the last round, and the log odds that they predict for each missing modality.
    """
    missing = missing_from(network, observed)
    features = {name: network.encode(values, name) for name, values in observed.items()}
    held = network.joint.hidden_logits(features)
    hidden = start_hidden(network, features, kept)
    for _ in range(rounds):
        hidden = infer_hidden(network, held, predict(network, hidden, missing, kept))
    return hidden, {name: network.decode(hidden, name) for name in missing}


@dataclass(frozen=True, eq=False)
class Filled:
    """What mean field makes of samples with missing modalities.

    Attributes:
        hidden: Means of the joint hidden units, the features of a sample, [N, H].
        missing: Missing modality -> its means, [N, width].
        converged: Whether the mean change of a sample's hidden units fell below the tolerance, [N].
        rounds: Rounds run, the most that any sample took.
    """

    hidden: Float[Tensor, "N H"]
    missing: dict[str, Tensor]
    converged: Bool[Tensor, " N"]
    rounds: int


@torch.no_grad()
def fill(
    network: MDRNN, observed: Mapping[str, Tensor], tolerance: float = 1e-5, most_rounds: int = 100
) -> Filled:
    """Fill the modalities that ``observed`` lacks; with none lacking, only infer the hidden units.

    A sample stops at the first round that changes its hidden units by less than ``tolerance`` in the mean,
    so what it gets does not depend on which samples share its batch. Waits for the device every round.

    Args:
        network: The model; ``MDRNN(rbm)`` for an RBM.
        observed: Modality -> values, [N, width].
        tolerance: Mean absolute change, over the hidden units, that ends a sample.
        most_rounds: Rounds after which to stop all the same.

    Raises:
        BogcError: ``observed`` is not as ``check_inputs`` wants it, or not like the parameters.
        RangeError: ``most_rounds`` or ``tolerance`` is negative.
    """
    check_inputs(observed, network.widths)
    check_alike("inputs and model", network.joint.hidden_bias, *observed.values())
    check_number("tolerance", tolerance, tolerance >= 0, "must not be negative", "Use 1e-5.")
    check_number("most_rounds", most_rounds, most_rounds >= 0, "must not be negative", "Use 100.")
    missing = missing_from(network, observed)
    features = {name: network.encode(values, name) for name, values in observed.items()}
    held = network.joint.hidden_logits(features)
    hidden = start_hidden(network, features)
    converged = torch.full((len(hidden),), not missing, dtype=torch.bool, device=hidden.device)
    rounds = 0
    while rounds < most_rounds and not bool(converged.all()):
        new = infer_hidden(network, held, predict(network, hidden, missing))
        settled = (new - hidden).abs().mean(1) < tolerance
        hidden = torch.where(converged[:, None], hidden, new)
        converged = converged | settled
        rounds += 1
    return Filled(hidden, predict(network, hidden, missing), converged, rounds)


def variational_free_energy(
    rbm: MultimodalRBM,
    observed: Mapping[str, Float[Tensor, "N _"]],
    means: Mapping[str, Float[Tensor, "N _"]],
    hidden: Float[Tensor, "N H"],
) -> Float[Tensor, " N"]:
    """Energy at the means, less the entropy of what is not observed (6.40), for each sample.

    Never below -log sum exp(-F) over the missing modalities, and lowered by every half round of 6.41.
    """
    entropy = torch.stack([_entropy(values) for values in (*means.values(), hidden)]).sum(0)
    return rbm.energy({**observed, **means}, hidden) - entropy


def _entropy(means: Tensor) -> Tensor:
    entropy: Tensor = torch.special.entr(means) + torch.special.entr(1 - means)
    return entropy.sum(1)
