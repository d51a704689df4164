import torch

from bogc.calibration import Blockwise, MatchEachBlock, Pipeline, Unscaled, calibrate_block
from tests.calibration.moments import blocks, means_of


def test_it_is_the_chain_on_each_block_and_the_plain_sum_elsewhere():
    moments = blocks(0, 2, (4, 5))
    means = means_of(moments) | {"waiting": {"s0": torch.ones(2), "s1": torch.ones(2)}}
    found = Blockwise(Pipeline(), Unscaled())(means, moments, {})
    assert found.updates["waiting"].tolist() == [2, 2]
    for name, sources in moments.items():
        block, states = calibrate_block(sources, {}, Pipeline())
        assert torch.equal(found.updates[name], block.update.direction)
        assert torch.equal(found.blocks[name].fused.belief, block.fused.belief)
        assert found.states[name] == states
    assert found.finite.keys() == {
        "gradient of losses['s0']", "gradient of losses['s1']", "calibrated update",
    }  # fmt: skip


def test_it_scales():
    moments = blocks(1, 2, (4,))
    found = Blockwise(Pipeline(), MatchEachBlock())(means_of(moments), moments, {}).updates["b0"]
    plain = sum(m.mean for m in moments["b0"].values())
    torch.testing.assert_close(found.norm(), plain.norm())
