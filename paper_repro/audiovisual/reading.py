"""Batches of clips, read by several threads while the one before is trained on."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from bogc.data import MultimodalBatch
from paper_repro.audiovisual.sources import Clips

Item = tuple[dict[str, Tensor], int]


def training_batches(clips: Clips, batch_size: int, seed: int, epoch: int) -> Iterator[MultimodalBatch]:
    """Shuffle, cut and mirror by seed and epoch alone; a last incomplete batch is kept, as released."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    order = torch.randperm(len(clips), generator=generator).split(batch_size)

    def read(index: int) -> Item:
        return clips.training_item(index, np.random.default_rng([seed, epoch, index]))

    return _batches(read, [indices.tolist() for indices in order])


def evaluation_batches(clips: Clips, batch_size: int) -> Iterator[MultimodalBatch]:
    """Read all clips in their order, without anything random."""
    return _batches(clips.__getitem__, [part.tolist() for part in torch.arange(len(clips)).split(batch_size)])


def _batches(read: Callable[[int], Item], order: Iterable[Sequence[int]]) -> Iterator[MultimodalBatch]:
    """Read one batch ahead."""
    with ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as pool:
        coming: list[Future[Item]] = []
        for indices in order:
            following = [pool.submit(read, index) for index in indices]
            if coming:
                yield _stacked(coming)
            coming = following
        yield _stacked(coming)


def _stacked(items: Iterable[Future[Item]]) -> MultimodalBatch:
    read = [item.result() for item in items]
    inputs = {modality: torch.stack([values[modality] for values, _ in read]) for modality in read[0][0]}
    return MultimodalBatch(inputs, torch.tensor([target for _, target in read], dtype=torch.int64))
