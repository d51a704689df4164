import pytest
import torch
from torch import nn

from bogc.balancing import UnimodalSum
from bogc.errors import PartitionError
from bogc.gradients import ModalityPartition
from tests.networks import PlainNetwork, RichNetwork, losses_of


def layer() -> nn.Linear:
    return nn.Linear(2, 2)


@pytest.mark.parametrize("make", [PlainNetwork, RichNetwork])
def test_every_trainable_parameter_is_in_exactly_one_block(make):
    network = make()
    parameters = network.partition().parameters
    assert len(parameters) == len({id(p) for p in parameters})
    assert {id(p) for p in parameters} == {id(p) for p in network.parameters()}


def test_sources_are_the_fusion_and_the_modalities_in_order():
    partition = ModalityPartition({"sound": layer(), "image": layer()})
    assert partition.modalities == ("sound", "image")
    assert partition.sources == ("fusion", "sound", "image")


def test_names_that_contain_each_other_are_not_confused():
    modules = {f"image_{i}": layer() for i in (1, 10, 100)}
    for partition in (
        ModalityPartition(modules),
        ModalityPartition(modules, model=nn.ModuleDict(modules)),
    ):
        assert len(partition.blocks) == 3
        for block in partition.blocks:
            assert block.modality == block.name
            assert block.parameters[0] is modules[block.modality].weight


def test_blocks_carry_the_names_of_the_model():
    network = RichNetwork()
    names = {block.name: block.modality for block in network.partition().blocks}
    assert names == {
        "image.0": "image", "image.1": "image", "image_head": "image",
        "sound": "sound", "sound.out_proj": "sound", "sound_head": "sound",
        "tied": "shared", "fused": "shared", "unused": "shared",
    }  # fmt: skip


def test_modules_may_come_from_a_generator():
    network = nn.Sequential(layer(), layer(), layer())
    partition = ModalityPartition({"a": (m for m in network[:2])}, shared=(m for m in network[2:]))
    assert [block.modality for block in partition.blocks] == ["a", "a", "shared"]


def test_a_module_inside_another_is_counted_once():
    outer = nn.Sequential(layer(), layer())
    assert len(ModalityPartition({"a": (outer[1], outer, outer)}).parameters) == 4


@pytest.mark.parametrize("name", ["fusion", "shared", "fused"])
def test_reserved_names_are_refused(name):
    with pytest.raises(PartitionError, match=rf"reserved names; found \['{name}'\]"):
        ModalityPartition({name: layer()})


def test_no_modality_is_refused():
    with pytest.raises(PartitionError, match="at least one modality"):
        ModalityPartition({})


@pytest.mark.parametrize("module", [nn.ReLU(), (), layer().requires_grad_(False)])
def test_a_modality_without_trainable_parameters_is_refused(module):
    with pytest.raises(PartitionError, match="modality 'b' must have a trainable parameter"):
        ModalityPartition({"a": layer(), "b": module})


def test_overlap_is_refused():
    common = layer()
    with pytest.raises(PartitionError, match=r"'a' and 'b' must not overlap.*shape"):
        ModalityPartition({"a": common, "b": nn.Sequential(layer(), common)})
    with pytest.raises(PartitionError, match="'a' and 'shared' must not overlap"):
        ModalityPartition({"a": common}, shared=common)


def test_a_tied_weight_is_overlap():
    first, second = layer(), layer()
    second.weight = first.weight
    with pytest.raises(PartitionError, match=r"overlap.*shape \[2, 2\]"):
        ModalityPartition({"a": first, "b": second})


def test_two_blocks_of_one_name_are_refused():
    with pytest.raises(PartitionError, match=r"two blocks one name; found \['a.0'\]"):
        ModalityPartition({"a": nn.Sequential(layer()), "a.0": layer()})


def test_parameters_left_over_are_refused_at_construction():
    model = nn.ModuleDict({"a": layer(), "rest": layer()})
    with pytest.raises(PartitionError, match=r"2 left over: rest\.weight, rest\.bias"):
        ModalityPartition({"a": model["a"]}, model=model)
    assert len(ModalityPartition({"a": model["a"]}, shared=model["rest"], model=model).blocks) == 2
    model["rest"].requires_grad_(False)
    assert len(ModalityPartition({"a": model["a"]}, model=model).blocks) == 1


def test_without_the_model_they_are_refused_at_the_first_backward():
    network = PlainNetwork()
    partition = ModalityPartition({"image": network.image, "sound": (network.sound, network.sound_head)})
    balancer = UnimodalSum(partition)
    losses = losses_of(network)
    with pytest.raises(PartitionError, match=r"4 left over: a parameter of shape"):
        balancer.backward(losses)
    assert all(p.grad is None for p in network.parameters())
    with pytest.raises(PartitionError, match=r"left over"):  # and again: failing once is no pass
        balancer.backward(losses)


def test_a_source_that_comes_later_is_checked_when_it_comes():
    network = PlainNetwork()
    partition = ModalityPartition({"image": network.image, "sound": network.sound}, shared=network.fused)
    balancer = UnimodalSum(partition)
    losses = losses_of(network)
    balancer.backward({"fusion": losses["fusion"]})
    with pytest.raises(PartitionError, match="2 left over"):
        balancer.backward({"fusion": losses["fusion"], "image": losses["image"]})


def test_frozen_parameters_stay_out():
    network = PlainNetwork()
    network.image[0].weight.requires_grad_(False)
    before = network.image[0].weight.clone()
    UnimodalSum(network.partition()).backward(losses_of(network))
    assert network.image[0].weight.grad is None
    assert torch.equal(network.image[0].weight, before)
