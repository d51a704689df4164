import pytest
import torch

from bogc.errors import TooFewSamplesError
from bogc.gradients import ESTIMATORS
from bogc.gradients.moment_estimator import block_gradients, check_enough
from bogc.gradients.vjp import mean_cotangent
from tests.networks import RichNetwork, losses_of


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_sources_are_estimated_together_as_they_are_alone(estimator):
    network = RichNetwork()
    partition = network.partition()
    made = ESTIMATORS[estimator]()
    made.attach(partition)
    losses = losses_of(network)
    together = made.estimate(losses, partition.blocks, {})
    assert together.keys() == losses.keys()
    for source, loss in losses.items():
        alone = made.estimate({source: loss}, partition.blocks, {})[source]
        assert alone.means.keys() == together[source].means.keys()
        for name, mean in alone.means.items():
            torch.testing.assert_close(together[source].means[name], mean)
        for name, moments in alone.moments.items():
            torch.testing.assert_close(together[source].moments[name].scatter, moments.scatter)


def test_blocks_that_a_loss_does_not_reach_have_no_rows():
    network = RichNetwork()
    losses = losses_of(network)["image"]
    rows = block_gradients(losses, network.partition().blocks, mean_cotangent(losses))
    assert set(rows) == {"image.0", "image.1", "image_head"}


def test_the_smallest_source_decides_whether_there_are_enough():
    check_enough("X", {"a": torch.zeros(3), "b": torch.zeros(2)}, 2)
    check_enough("X", {}, 2)
    with pytest.raises(TooFewSamplesError, match=r"X needs at least 3 samples in a batch; found 2\."):
        check_enough("X", {"a": torch.zeros(3), "b": torch.zeros(2)}, 3)
