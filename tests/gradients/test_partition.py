import pytest
import torch
from torch import nn

from bogc.errors import PartitionError
from bogc.gradients import ModalityPartition
from bogc.gradients.partition import check_mapping
from tests.networks import PlainNetwork, RichNetwork


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
    with pytest.raises(PartitionError, match=r"must map at least one name to its modules; found none"):
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


def test_a_list_of_parameters_is_a_module_with_a_block_of_its_own():
    parameter = nn.Parameter(torch.ones(2))
    (found,) = ModalityPartition({"a": nn.ParameterList([parameter])}).blocks
    assert found.parameters == (parameter,)


@pytest.mark.parametrize(("given", "found"), [([], "list"), ({}, "none"), (layer(), "Linear")])
def test_what_maps_no_name_to_a_module_is_refused(given, found):
    rule = rf'must map at least one name to its modules; found {found}. Pass {{"audio": model.audio'
    with pytest.raises(PartitionError, match=rule):
        check_mapping(given)


def test_nothing_is_refreshed_while_nothing_changes():
    partition = RichNetwork().partition()
    before = partition.blocks
    assert not partition.refresh()
    assert partition.blocks is before


def names(partition: ModalityPartition) -> list[str]:
    return partition.names_of(partition.parameters)


def test_freezing_and_unfreezing_is_noticed():
    network = nn.ModuleDict({"a": layer(), "b": nn.Sequential(layer(), layer())})
    partition = ModalityPartition(dict(network), model=network)
    full = names(partition)
    network["b"][0].weight.requires_grad_(False)
    assert partition.refresh()
    assert names(partition) == [name for name in full if name != "b.0.weight"]
    assert not partition.refresh()
    network["b"][0].weight.requires_grad_(True)
    assert partition.refresh()
    assert names(partition) == full


def test_what_is_inserted_replaced_or_removed_later_is_noticed():
    network = nn.ModuleDict(
        {"a": nn.Sequential(layer()), "b": nn.ParameterList([nn.Parameter(torch.ones(2))])}
    )
    partition = ModalityPartition(dict(network))
    assert names(partition) == ["a.0.weight", "a.0.bias", "b.0"]
    network["a"].append(layer())  # an adapter
    assert partition.refresh()
    assert names(partition) == ["a.0.weight", "a.0.bias", "a.1.weight", "a.1.bias", "b.0"]
    network["b"].append(nn.Parameter(torch.ones(3)))
    assert partition.refresh()
    assert names(partition)[-2:] == ["b.0", "b.1"]
    network["a"][0].weight = nn.Parameter(torch.zeros(2, 2))
    assert partition.refresh()
    assert partition.parameters[0] is network["a"][0].weight
    del network["a"][1]
    network["a"][0].register_parameter("bias", None)
    assert partition.refresh()
    assert names(partition) == ["a.0.weight", "b.0", "b.1"]
    assert not partition.refresh()


def test_a_refresh_forgets_the_layouts_of_before():
    network = layer()
    partition = ModalityPartition({"a": network})
    ids = [id(p) for p in network.parameters()]
    (before,) = partition.layouts({"fusion": ids})
    assert partition.layouts({"fusion": ids})[0] is before
    network.bias.requires_grad_(False)
    partition.refresh()
    (after,) = partition.layouts({"fusion": ids[:1]})
    assert (before.blocks[0].size, after.blocks[0].size) == (6, 4)


def test_names_are_full_and_in_the_order_of_the_partition():
    network = RichNetwork()
    partition = network.partition()
    wanted = [network.fused.bias, network.image[1].weight]
    assert partition.names_of(wanted) == ["image.1.weight", "fused.bias"]
    full = {name for name, _ in network.named_parameters()}
    assert set(names(partition)) == full


def test_parameters_left_over_are_named_by_shape_where_they_have_no_name():
    partition = ModalityPartition({"a": layer()})
    partition.check_complete(partition.parameters)
    with pytest.raises(PartitionError, match=r"1 left over: a parameter of shape \[3\]\. Give their modules"):
        partition.check_complete([*partition.parameters, torch.ones(3)])


def test_several_modules_of_a_modality_are_numbered_where_the_model_is_not_given():
    found = ModalityPartition({"a": (layer(), nn.Sequential(layer()))}, shared=layer()).blocks
    assert [(block.name, block.modality) for block in found] == [
        ("a.0", "a"), ("a.1.0", "a"), ("shared", "shared"),
    ]  # fmt: skip


def test_a_weight_shared_by_two_layers_belongs_to_the_first():
    first, second = layer(), layer()
    second.weight = first.weight
    found = ModalityPartition({"a": nn.Sequential(first, second)}).blocks
    assert [(block.name, block.names) for block in found] == [("a.0", ("weight", "bias")), ("a.1", ("bias",))]
