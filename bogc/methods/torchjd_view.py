"""Calibrated aggregation as an aggregator of torchjd, for its ``jac_to_grad``; an optional dependency."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bogc.calibration import Calibrator, MatchEachBlock, Memory, Pipeline, Scaling
from bogc.checks import check_number
from bogc.errors import ShapeError, StateError, UnsuitableError
from bogc.gradients import Block, GradientGroup, GradientMoments, Layout, PerSample, Successive, arrange
from bogc.methods.remembering import choose_unit, look_in_unit

try:
    from torchjd import Stateful
    from torchjd.aggregation import Aggregator
except ImportError as error:
    raise UnsuitableError(
        "bogc.methods.torchjd_view", "needs torchjd", error, "Run pip install 'bogc[peers]'."
    ) from None


class CalibratedAggregator(Aggregator, Stateful):
    """Jacobian [R, D] -> calibrated update [D], in units of the sum of the sources' gradients.

    Row by row, the Jacobian holds the gradients of the sources. Its columns are cut into blocks, each with a
    prior and length of its own. A source whose rows are zero throughout a block does not reach it, as
    torchjd fills in zeros there; so a modality that is missing from a batch is a row of zeros. To see that, a
    call waits for the device once. Weights differ by dimension, so there is no Weighting for torchjd's
    autogram.

    For the network of a :class:`ModalityPartition`, and equal to ``BOGC(partition).backward(losses)``::

        aggregator = CalibratedAggregator([block.size for block in partition.blocks])
        torchjd.autojac.backward([loss.mean() for loss in losses.values()], inputs=partition.parameters)
        torchjd.autojac.jac_to_grad(partition.parameters, aggregator)

    The state over steps is in ``state_dict()``, as an extra state, and follows the Jacobian's device.

    Args:
        blocks: Number of columns of each block, in order; None: all columns are one block.
        sources: None: one row a source, the gradient of its mean loss, whose noise is learnt over steps. A
            number: as many rows for each source, the gradients of single samples, whose variance is taken.
        pipeline: The choices between moments and update.
        scaling: The length of the whole update.

    Raises:
        RangeError: A block has no columns, or there is no source.
    """

    def __init__(
        self,
        blocks: Sequence[int] | None = None,
        sources: int | None = None,
        pipeline: Pipeline | None = None,
        scaling: Scaling | None = None,
    ) -> None:
        super().__init__()
        for size in blocks or ():
            check_number("blocks", size, size >= 1, "must have a column or more each", "Leave it out.")
        if sources is not None:
            check_number("sources", sources, sources >= 1, "must be at least 1", "Count the losses.")
        self.blocks = None if blocks is None else tuple(blocks)
        self.sources = sources
        estimator = Successive() if sources is None else PerSample()
        self.calibrator = Calibrator(estimator, pipeline or Pipeline(), scaling or MatchEachBlock())
        self._memory = Memory()
        self._shape: list[int] | None = None
        self._columns: tuple[Block, ...] = ()
        self._layouts: dict[object, list[Layout]] = {}

    def forward(self, matrix: Float[Tensor, "R D"], /) -> Float[Tensor, " D"]:
        """Aggregate, and carry the state on.

        Raises:
            ShapeError: The columns are not those of the blocks, or the rows not those of the sources.
            StateError: The sources or columns are not those of the calls before.
            NonFiniteError: A gradient is NaN or infinite; the state is as before.
        """
        with torch.no_grad():
            rows = self._by_source(matrix.detach())
            groups = self._groups(rows)
            if not groups:
                return rows.new_zeros(rows.shape[-1])
            choose_unit(groups, self._memory)
            nothing = {"matrix": rows.new_zeros(())}
            looks = look_in_unit(groups, self._memory, nothing, self.calibrator.look)
            found = self.calibrator.calibrate(looks, self._memory).gradients
            parts = [
                found[block.parameters[0]] if block.parameters[0] in found else rows.new_zeros(block.size)
                for block in self._columns
            ]
            return torch.cat(parts).to(matrix.dtype)

    def _by_source(self, matrix: Tensor) -> Float[Tensor, "S n D"]:
        """Cut the rows into those of each source, and check them."""
        count, left = (1, 0) if self.sources is None else divmod(len(matrix), self.sources)
        if self.sources is not None and (left or count < 2):
            rule = f"must have two rows or more for each of {self.sources} sources, as many for each"
            remedy = "Differentiate one loss vector a source, all of one length."
            raise ShapeError("matrix", rule, f"{len(matrix)} rows", remedy)
        rows = matrix.reshape(len(matrix) // count, count, -1)
        sizes = self.blocks or (rows.shape[-1],)
        if sum(sizes) != rows.shape[-1]:
            remedy = "Give each block's number of columns, in the order of the tensors."
            raise ShapeError("matrix", f"must have {sum(sizes)} columns", rows.shape[-1], remedy)
        shape = [len(rows), rows.shape[-1]]
        if (self._shape or shape) != shape:
            rule = f"must have {self._shape} sources and columns as before"
            raise StateError("matrix", rule, shape, "Call reset().")
        if self._shape is None or not self._columns:
            self._shape, self._columns = shape, _columns(sizes)
        return rows

    def _groups(self, rows: Float[Tensor, "S n D"]) -> list[GradientGroup]:
        """Lay out the blocks that some source reaches."""
        sizes = [block.size for block in self._columns]
        parts = rows.split(sizes, dim=-1)
        flags = torch.stack([(part != 0).flatten(1).any(1) for part in parts], 1).tolist()
        reached = {
            str(s): {id(b.parameters[0]) for b, hit in zip(self._columns, row, strict=True) if hit}
            for s, row in enumerate(flags)
        }
        key = tuple(map(tuple, flags))
        if key not in self._layouts:
            self._layouts[key] = arrange(reached, self._columns)
        wide = rows.to(torch.promote_types(rows.dtype, torch.float32)) / (self._memory.unit or 1.0)
        ones = wide.new_ones(wide.shape[-2])
        moments = None if self.sources is None else GradientMoments.from_groups(wide, ones)
        means = wide[:, 0] if moments is None else moments.mean
        counts = {str(s): rows.shape[1] for s in range(len(rows))}
        groups = []
        for layout in self._layouts[key]:
            own = layout.fill(self._pairs(means), wide)
            scatter = None if moments is None else layout.fill(self._pairs(moments.scatter), wide)
            freedom = {source: count - 1 for source, count in counts.items()}
            groups.append(GradientGroup(layout, own, counts, scatter, freedom))
        return groups

    def _pairs(self, values: Float[Tensor, "S D"]) -> dict[tuple[str, str], Tensor]:
        """Values of each source and block."""
        parts = values.split([block.size for block in self._columns], dim=-1)
        return {
            (str(s), block.name): part[s]
            for block, part in zip(self._columns, parts, strict=True)
            for s in range(len(values))
        }

    def reset(self) -> None:
        """Forget all steps."""
        self._memory, self._shape, self._columns, self._layouts = Memory(), None, (), {}

    def get_extra_state(self) -> dict[str, Any]:
        """What ``state_dict`` holds: nested dicts of tensors and numbers."""
        sizes = [block.size for block in self._columns]
        return {"shape": self._shape, "sizes": sizes, "memory": self._memory.state_dict()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restore what ``get_extra_state`` returned.

        Raises:
            StateError: It is something else.
        """
        if not isinstance(state, Mapping) or state.keys() != {"shape", "sizes", "memory"}:
            found = list(state) if isinstance(state, Mapping) else type(state).__name__
            raise StateError("state", "must hold 'shape', 'sizes' and 'memory'", found, "Load its own.")
        columns = _columns(state["sizes"])
        self._memory = Memory.from_state(state["memory"], columns, self.calibrator.tracker.names)
        self._shape, self._columns, self._layouts = state["shape"], columns, {}

    def __repr__(self) -> str:
        return f"CalibratedAggregator(blocks={self.blocks}, sources={self.sources})"


def _columns(sizes: Sequence[int]) -> tuple[Block, ...]:
    """Blocks of columns; their parameters take no memory."""
    parameters = [nn.Parameter(torch.empty(size, device="meta")) for size in sizes]
    return tuple(Block(str(index), "", (parameter,), ("",)) for index, parameter in enumerate(parameters))
