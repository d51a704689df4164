import pytest
import torch

from bogc.gradients import GradientMoments
from bogc.gradients.sample_moments import sample_moments
from tests.networks import PlainNetwork, losses_of


@pytest.mark.parametrize("vectorize", [False, True])
@pytest.mark.parametrize("chunk", [1, 5, 100])
def test_chunks_merge_into_the_moments_of_all_rows(chunk, vectorize):
    network = PlainNetwork()
    losses = losses_of(network, 11)["image"]
    blocks = network.partition().blocks
    moments = sample_moments(losses, blocks, chunk, vectorize)
    assert set(moments) == {"image.0", "image_head"}
    for block in blocks:
        if block.name in moments:
            rows = [torch.autograd.grad(loss, block.parameters, retain_graph=True) for loss in losses]
            flat = torch.stack([torch.cat([g.flatten() for g in row]) for row in rows])
            expected = GradientMoments.from_samples(flat)
            torch.testing.assert_close(moments[block.name].mean, expected.mean)
            torch.testing.assert_close(moments[block.name].scatter, expected.scatter)
            assert moments[block.name].degrees_of_freedom.item() == 10
