"""Calibrated aggregation as an aggregator of torchjd, for its ``jac_to_grad``; an optional dependency."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils._pytree import tree_map_only

from bogc.balancing.row_moments import OverSteps, RowMoments
from bogc.calibration import MatchEachBlock, Pipeline, Scaling, calibrate_block
from bogc.checks import check_number
from bogc.errors import ShapeError, StateError, UnsuitableError
from bogc.gradients import check_finite_step

try:
    from torchjd import Stateful
    from torchjd.aggregation import Aggregator
except ImportError as error:
    raise UnsuitableError(
        "bogc.balancing.torchjd_view", "needs torchjd", error, "Run pip install 'bogc[peers]'."
    ) from None


class CalibratedAggregator(Aggregator, Stateful):
    """Jacobian [R, D] -> calibrated update [D], in units of the sum of the sources' gradients.

    Row by row, the Jacobian holds the gradients of the sources; ``rows`` says which, and where their variance
    comes from. Its columns are cut into blocks, each with its own prior, warm-up and length.
    A source whose rows are zero throughout a block is taken not to reach it, because torchjd fills in zeros
    there; so a modality that is missing from a batch is a row of zeros. To see that, a call waits for the
    device once. Weights differ by dimension, so there is no Weighting for torchjd's autogram.

    For the network of a :class:`ModalityPartition`, and equal to ``BOGC(partition,
    Streaming()).backward(losses)``::

        aggregator = CalibratedAggregator([block.size for block in partition.blocks])
        torchjd.autojac.backward([loss.mean() for loss in losses.values()], inputs=partition.parameters)
        torchjd.autojac.jac_to_grad(partition.parameters, aggregator)

    The state over steps is in ``state_dict()``, as an extra state, and follows the Jacobian's device.

    Args:
        blocks: Number of columns of each block, in order; None: all columns are one block.
        rows: What the rows are; by default one mean gradient a source.
        pipeline: The choices between moments and update.
        scaling: The length of the whole update.

    Raises:
        RangeError: A block has no columns.
    """

    def __init__(
        self,
        blocks: Sequence[int] | None = None,
        rows: RowMoments | None = None,
        pipeline: Pipeline | None = None,
        scaling: Scaling | None = None,
    ) -> None:
        super().__init__()
        for size in blocks or ():
            check_number("blocks", size, size >= 1, "must have a column or more each", "Leave it out.")
        self.blocks = None if blocks is None else tuple(blocks)
        self.rows = rows or OverSteps()
        self.pipeline = pipeline or Pipeline()
        self.scaling = scaling or MatchEachBlock()
        self._state: Mapping[str, Any] = {}

    def forward(self, matrix: Float[Tensor, "R D"], /) -> Float[Tensor, " D"]:
        """Aggregate, and carry the state on.

        Raises:
            ShapeError: The columns are not those of the blocks, or the rows not those of the sources.
            StateError: The sources or columns are not those of the calls before.
            NonFiniteError: A gradient is NaN or infinite; the state is as before.
        """
        with torch.no_grad():
            rows = self.rows.by_source(matrix.detach())
            sizes = self.blocks or (rows.shape[-1],)
            if sum(sizes) != rows.shape[-1]:
                remedy = "Give each block's number of columns, in the order of the tensors."
                raise ShapeError("matrix", f"must have {sum(sizes)} columns", rows.shape[-1], remedy)
            shape = [len(rows), rows.shape[-1]]
            known = self._state.get("shape", shape)
            if known != shape:
                rule, remedy = (
                    f"must have {known[0]} sources and {known[1]} columns as before",
                    "Call reset().",
                )
                raise StateError("matrix", rule, shape, remedy)
            state = tree_map_only(Tensor, lambda value: value.to(rows.device), dict(self._state))
            direction, following = self._aggregate(rows.split(sizes, dim=-1), state.get("blocks", {}))
            check_finite_step({"matrix": [matrix], "calibrated update": [direction]})
            self._state = {"shape": shape, "blocks": following}
            return direction

    def _aggregate(
        self, parts: Sequence[Float[Tensor, "S n _"]], states: Mapping[str, Any]
    ) -> tuple[Tensor, dict[str, Any]]:
        """Calibrate each block that some source reaches; the plain sum until all its variances are known."""
        reached = torch.stack([(part != 0).any(-1).any(-1) for part in parts]).tolist()
        directions: dict[str, Tensor] = {}
        plain: dict[str, Tensor] = {}
        following = dict(states)
        for name, part, reaches in zip(map(str, range(len(parts))), parts, reached, strict=True):
            state = states.get(name, {"streams": {}, "priors": {}})
            streams, priors = dict(state["streams"]), state["priors"]
            sources = [str(source) for source, reach in enumerate(reaches) if reach]
            found = {s: self.rows.estimate(part[int(s)], streams.get(s, {})) for s in sources}
            moments = {s: estimate.moments for s, estimate in found.items() if estimate.moments is not None}
            plain[name] = torch.stack(
                [part.new_zeros(part.shape[-1]), *(e.mean for e in found.values())]
            ).sum(0)
            directions[name] = plain[name]
            if found and len(moments) == len(found):
                calibrated, priors = calibrate_block(moments, priors, self.pipeline)
                directions[name] = calibrated.update.direction
            streams |= {s: estimate.state for s, estimate in found.items()}
            following[name] = {"streams": streams, "priors": priors}
        return torch.cat(list(self.scaling(directions, plain).values())), following

    def reset(self) -> None:
        """Forget all steps."""
        self._state = {}

    def get_extra_state(self) -> dict[str, Any]:
        """What ``state_dict`` holds: nested dicts of tensors and numbers."""
        return dict(self._state)

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restore what ``get_extra_state`` returned.

        Raises:
            StateError: It is something else.
        """
        if state and state.keys() != {"shape", "blocks"}:
            raise StateError("state", "must hold 'shape' and 'blocks'", list(state), "Load its own.")
        self._state = dict(state)

    def __repr__(self) -> str:
        return f"CalibratedAggregator(blocks={self.blocks}, rows={self.rows})"
