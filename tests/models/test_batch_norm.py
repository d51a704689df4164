import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bogc.distributed import SingleProcess, current_group
from bogc.models import TeamBatchNorm, over_team
from tests.processes import together

SPLITS = {2: [7, 1], 3: [2, 3, 4]}


def network(affine: bool = True, momentum: float | None = 0.1) -> nn.Module:
    torch.manual_seed(1)
    first = nn.BatchNorm1d(4, affine=affine, momentum=momentum)
    return nn.Sequential(nn.Linear(3, 4), first, nn.Tanh(), nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5)))


def inputs(samples: int) -> Tensor:
    return torch.randn(samples, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def train(model: nn.Module, own: Tensor, total: int) -> tuple[list[Tensor], dict[str, Tensor]]:
    """Gradients of this part's share of the mean loss, after two passes, and the state."""
    for _ in range(2):
        loss = (model(own) ** 3).sum(1).sum() / total
    found = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)
    return list(found), copy.deepcopy(model.state_dict())


def work(rank: int, size: int, affine: bool, momentum: float | None) -> tuple:
    sizes = SPLITS[size]
    own = inputs(sum(sizes)).split(sizes)[rank]
    team = current_group()
    gradients, state = train(over_team(network(affine, momentum), team), own, sum(sizes))
    return team.sum(gradients), state


@pytest.mark.parametrize(("size", "affine", "momentum"), [(2, True, 0.1), (3, False, None)])
def test_parts_are_normalised_as_the_whole_batch(
    size: int, affine: bool, momentum: float | None, tmp_path: Path
):
    expected, state = train(network(affine, momentum), inputs(sum(SPLITS[size])), sum(SPLITS[size]))
    for gradients, found in together(work, size, tmp_path, affine, momentum):
        assert found.keys() == state.keys()
        for own, whole in zip(gradients, expected, strict=True):
            torch.testing.assert_close(own, whole, rtol=1e-10, atol=1e-12)
        for name, value in state.items():
            torch.testing.assert_close(found[name], value, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("shape", [(6, 4), (6, 4, 5), (6, 4, 3, 2)])
def test_one_process_agrees_with_torch(shape: tuple[int, ...]):
    kind = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d}[len(shape)]
    plain = kind(4)
    own = TeamBatchNorm(copy.deepcopy(plain), SingleProcess())
    x = torch.randn(shape)
    torch.testing.assert_close(own(x), plain(x), rtol=1e-10, atol=1e-12)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(own.state_dict()[name], value)
    torch.testing.assert_close(own.eval()(x), plain.eval()(x), rtol=1e-10, atol=1e-12)


def test_half_precision_keeps_its_dtype_and_counts_exactly():
    own, plain = (TeamBatchNorm(nn.BatchNorm1d(2).float(), SingleProcess()), nn.BatchNorm1d(2).float())
    x = torch.randn(1001, 2).bfloat16()  # 1001 is no bfloat16
    assert own(x).dtype == torch.bfloat16
    plain(x.float())
    torch.testing.assert_close(own.running_var, plain.running_var)


class Two(SingleProcess):
    size = 2


def test_layers_are_replaced_in_place_and_parameters_are_the_same_objects():
    model = network()
    before = dict(model.named_parameters())
    assert over_team(model, SingleProcess()) is model
    assert not any(isinstance(m, TeamBatchNorm) for m in model.modules())
    over_team(model, Two())
    assert sum(isinstance(m, TeamBatchNorm) for m in model.modules()) == 2
    assert {name: id(p) for name, p in model.named_parameters()} == {n: id(p) for n, p in before.items()}
    assert model.state_dict().keys() == network().state_dict().keys()
