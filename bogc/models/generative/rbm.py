"""The multi-modal restricted Boltzmann machine, Gibbs sampling from it, and checks of its inputs."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from bogc.checks import check_alike, check_finite, check_floating, check_number, check_type, check_values
from bogc.errors import ConfigError, DataError, ShapeError

_LEAST_MEAN = 0.01  # a unit that is always off or on in the data starts with a finite bias


class MultimodalRBM(nn.Module):
    """p(x, h) proportional to exp(-E), E = -sum_m (x_m W_m h + a_m x_m) - c h (equation 6.32 of theory/).

    A multi-modal RBM is an RBM on the joined modalities; what is multi-modal is that one may be missing.
    Samples are rows, so W_m is [width, hidden]. Values of visible units in [0, 1] count as probabilities.
    Source: Sohn, Shang and Lee, "Improved Multimodal Deep Learning with Variation of Information" (2014).

    Args:
        widths: Modality -> number of its units.
        hidden: Number H of hidden units.
        generator: Source of the initial weights, on ``device``; biases begin at 0.
        scale: Standard deviation of the initial weights.
        dtype: Of all parameters; torch's default if None.
        device: Of all parameters.

    Raises:
        ConfigError: There is no modality.
        RangeError: A number of units or the scale is not positive.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        hidden: int,
        generator: torch.Generator | None = None,
        scale: float = 0.01,
        dtype: torch.dtype | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__()
        if not widths:
            raise ConfigError("widths", "must name at least one modality", "none", "Pass name -> width.")
        for name, width in (*widths.items(), ("hidden", hidden)):
            check_number(name, width, width > 0, "must have at least one unit", "Give its number of units.")
        check_number("scale", scale, scale > 0, "must be positive", "Use 0.01, as published.")
        dtype = dtype or torch.get_default_dtype()
        self.widths = dict(widths)
        self.hidden_units = hidden
        self._position = {name: i for i, name in enumerate(widths)}
        # float32 draws whatever the dtype, so that one seed gives one model
        draws = [
            torch.randn(width, hidden, generator=generator, dtype=torch.float32, device=device)
            for width in widths.values()
        ]
        self.weights = nn.ParameterList([nn.Parameter(scale * draw.to(dtype)) for draw in draws])
        self.visible_biases = nn.ParameterList(
            [nn.Parameter(torch.zeros(width, dtype=dtype, device=device)) for width in widths.values()]
        )
        self.hidden_bias = nn.Parameter(torch.zeros(hidden, dtype=dtype, device=device))

    @classmethod
    def for_data(
        cls, data: Mapping[str, Tensor], hidden: int, generator: torch.Generator | None = None
    ) -> "MultimodalRBM":
        """Build for ``data`` (modality -> [n, width]): visible biases are the log odds of the means.

        Raises:
            BogcError: The data are not as ``check_complete`` wants them.
        """
        widths = widths_of(data)
        check_complete(data, widths)
        first = next(iter(data.values()))
        rbm = cls(widths, hidden, generator, dtype=first.dtype, device=first.device)
        with torch.no_grad():
            for name, values in data.items():
                mean = values.mean(0).clamp(_LEAST_MEAN, 1 - _LEAST_MEAN)
                rbm.visible_bias(name).copy_(mean.logit())
        return rbm

    @property
    def names(self) -> tuple[str, ...]:
        """The modalities, in order."""
        return tuple(self.widths)

    def weight(self, name: str) -> Tensor:
        """W of one modality, [width, H]."""
        weight: Tensor = self.weights[self._position[name]]
        return weight

    def visible_bias(self, name: str) -> Tensor:
        """Bias a of one modality, [width]."""
        bias: Tensor = self.visible_biases[self._position[name]]
        return bias

    def project(self, inputs: Mapping[str, Float[Tensor, "N _"]]) -> Float[Tensor, "N H"]:
        """What the given modalities, at least one, add to the input of the hidden units (no bias)."""
        return torch.stack([values @ self.weight(name) for name, values in inputs.items()]).sum(0)

    def hidden_logits(self, inputs: Mapping[str, Float[Tensor, "N _"]]) -> Float[Tensor, "N H"]:
        """phi = c + sum_m x_m W_m: log odds of p(h_j = 1 | x)."""
        return self.hidden_bias + self.project(inputs)

    def visible_logits(self, hidden: Float[Tensor, "N H"], name: str) -> Float[Tensor, "N _"]:
        """a + W h: log odds of p(x_i = 1 | h) in one modality."""
        return self.visible_bias(name) + hidden @ self.weight(name).T

    def energy(
        self, inputs: Mapping[str, Float[Tensor, "N _"]], hidden: Float[Tensor, "N H"]
    ) -> Float[Tensor, " N"]:
        """E(x, h) of each sample; bilinear, so also defined on means. Needs every modality."""
        return -(hidden * self.hidden_logits(inputs)).sum(1) - self._bias_term(inputs)

    def free_energy(self, inputs: Mapping[str, Float[Tensor, "N _"]]) -> Float[Tensor, " N"]:
        """F(x) = -log sum_h exp(-E(x, h)) of each sample (6.32). Needs every modality."""
        return -functional.softplus(self.hidden_logits(inputs)).sum(1) - self._bias_term(inputs)

    def _bias_term(self, inputs: Mapping[str, Tensor]) -> Tensor:
        return torch.stack([values @ self.visible_bias(name) for name, values in inputs.items()]).sum(0)


def bernoulli(probability: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw 0 or 1 for each element, in its dtype.

    The uniform numbers are float32 for every dtype: models of two precisions that share a seed then take
    the same decisions, except where a probability differs by rounding. A probability is met up to 2^-24.
    """
    shape, device = probability.shape, probability.device
    uniform = torch.rand(shape, generator=generator, dtype=torch.float32, device=device)
    return (uniform < probability).to(probability.dtype)


@torch.no_grad()
def gibbs_step(
    rbm: MultimodalRBM,
    held: Float[Tensor, "#N H"],
    state: Mapping[str, Float[Tensor, "N _"]],
    generator: torch.Generator | None,
) -> dict[str, Tensor]:
    """One step: draw h given everything, then the modalities of ``state`` given h (6.37).

    Args:
        rbm: The model.
        held: Input of the hidden units from bias and held modalities: ``hidden_logits`` of those, or the
            bias alone, [1, H], for a chain over all modalities.
        state: The modalities to be drawn anew, as they stand, [N, width].
        generator: On the model's device.
    """
    hidden = bernoulli(torch.sigmoid(held + rbm.project(state)), generator)
    return draw_visible(rbm, hidden, tuple(state), generator)


@torch.no_grad()
def draw_visible(
    rbm: MultimodalRBM,
    hidden: Float[Tensor, "N H"],
    names: tuple[str, ...],
    generator: torch.Generator | None,
) -> dict[str, Tensor]:
    """Draw the named modalities given the hidden units."""
    return {name: bernoulli(torch.sigmoid(rbm.visible_logits(hidden, name)), generator) for name in names}


def widths_of(inputs: Mapping[str, Tensor]) -> dict[str, int]:
    """Modality -> length of its last axis; 0 without any, which ``check_inputs`` then refuses."""
    return {name: values.shape[-1] if values.ndim else 0 for name, values in inputs.items()}


def check_inputs(inputs: Mapping[str, Tensor], widths: Mapping[str, int]) -> None:
    """Raise unless ``inputs`` holds some of the modalities of ``widths``, each [N, width], in [0, 1].

    Reads the values, so on a GPU it waits for the device.

    Raises:
        TypeMismatchError: It is no mapping to tensors.
        DataError: A modality is unknown, none is given, or there is no sample.
        ShapeError: Axes are not [N, width], or modalities differ in N.
        DtypeError: Values are not floating point, or dtypes are mixed.
        DeviceError: Devices are mixed.
        NonFiniteError: A value is NaN or infinite.
        RangeError: A value lies outside [0, 1].
    """
    check_type("inputs", inputs, Mapping, "Pass a dict from modality to values.")
    unknown = [name for name in inputs if name not in widths]
    if unknown or not inputs:
        found = f"unknown {unknown}" if unknown else "none"
        raise DataError("inputs", f"must hold some of {list(widths)}", found, "Name modalities as built.")
    for name, values in inputs.items():
        _check_values_of(f"inputs[{name!r}]", values, widths[name])
    check_alike("inputs", *inputs.values())
    rows = {name: len(values) for name, values in inputs.items()}
    if len(set(rows.values())) > 1:
        raise ShapeError("inputs", "must have one number of rows", rows, "Align the samples.")


def check_complete(inputs: Mapping[str, Tensor], widths: Mapping[str, int]) -> None:
    """Raise as ``check_inputs`` does, and DataError if a modality of ``widths`` is absent."""
    check_inputs(inputs, widths)
    absent = [name for name in widths if name not in inputs]
    if absent:
        remedy = "Training needs every modality; only filling works without some."
        raise DataError("inputs", f"must hold all of {list(widths)}", f"no {absent}", remedy)


def _check_values_of(parameter: str, values: Tensor, width: int) -> None:
    check_floating(parameter, values)
    if values.ndim != 2 or values.shape[1] != width:
        raise ShapeError(parameter, f"must be [N, {width}]", list(values.shape), "Flatten each sample.")
    if len(values) == 0:
        raise DataError(parameter, "must have at least one row", "none", "Pass samples.")
    check_finite(parameter, values, "A missing modality is left out of the mapping, not set to NaN.")
    inside = (values >= 0) & (values <= 1)
    remedy = "Scale it: a value is the probability that a binary unit is 1."
    check_values(parameter, "must lie in [0, 1]", values, inside, remedy)
