from pathlib import Path

import numpy as np
import pytest
import torch

from bogc.errors import DataError
from paper_repro.audiovisual.reading import evaluation_batches, training_batches
from paper_repro.readers.crema_d import read_crema_d


def test_evaluation_reads_every_clip_once_in_order(crema_d: Path):
    clips = read_crema_d(crema_d, "train", side=8)
    batches = list(evaluation_batches(clips, 5))
    assert [len(batch) for batch in batches] == [5, 5, 2]
    assert torch.cat([batch.targets for batch in batches]).tolist() == clips.targets.tolist()
    expected, _ = clips[6]
    for modality in ("audio", "visual"):
        torch.testing.assert_close(batches[1].inputs[modality][1], expected[modality], rtol=0, atol=0)


def test_an_epoch_holds_every_clip_once_and_depends_on_seed_and_epoch_alone(crema_d: Path):
    clips = read_crema_d(crema_d, "train", side=8)
    targets = {}
    for seed, epoch in [(0, 0), (0, 1), (1, 0)]:
        first, again = (list(training_batches(clips, 5, seed, epoch)) for _ in range(2))
        assert [len(batch) for batch in first] == [5, 5, 2]
        for one, other in zip(first, again, strict=True):
            torch.testing.assert_close(one.inputs, other.inputs, rtol=0, atol=0)
            assert one.targets.tolist() == other.targets.tolist()
        targets[seed, epoch] = torch.cat([batch.targets for batch in first])
        assert sorted(targets[seed, epoch].tolist()) == sorted(clips.targets.tolist())
    assert not torch.equal(targets[0, 0], targets[0, 1])
    assert not torch.equal(targets[0, 0], targets[1, 0])


def test_a_training_batch_is_made_of_training_items(crema_d: Path):
    clips = read_crema_d(crema_d, "train", side=8)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(3 * 1_000_003 + 2)).tolist()
    batch = next(iter(training_batches(clips, 4, seed=3, epoch=2)))
    for row, index in enumerate(order[:4]):
        expected, target = clips.training_item(index, np.random.default_rng([3, 2, index]))
        torch.testing.assert_close(batch.inputs["visual"][row], expected["visual"], rtol=0, atol=0)
        assert int(batch.targets[row]) == target


def test_a_broken_file_stops_the_epoch(crema_d: Path):
    clips = read_crema_d(crema_d, "test", side=8)
    clips.clips[2].sound.write_bytes(b"RIFF")
    with pytest.raises(DataError, match="must be a WAV file"):
        list(evaluation_batches(clips, 2))
