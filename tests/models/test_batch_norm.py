import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bogc.balancing import BOGC
from bogc.gradients import Alone, ModalityPartition, PerRow, PerSample, Team, current_team
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
    team = current_team()
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
    own = TeamBatchNorm(copy.deepcopy(plain), Alone())
    x = torch.randn(shape)
    torch.testing.assert_close(own(x), plain(x), rtol=1e-10, atol=1e-12)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(own.state_dict()[name], value)
    torch.testing.assert_close(own.eval()(x), plain.eval()(x), rtol=1e-10, atol=1e-12)


def test_half_precision_keeps_its_dtype_and_counts_exactly():
    own, plain = (TeamBatchNorm(nn.BatchNorm1d(2).float(), Alone()), nn.BatchNorm1d(2).float())
    x = torch.randn(1001, 2).bfloat16()  # 1001 is no bfloat16
    assert own(x).dtype == torch.bfloat16
    plain(x.float())
    torch.testing.assert_close(own.running_var, plain.running_var)


class Two(Alone):
    size = 2


def test_layers_are_replaced_in_place_and_parameters_are_the_same_objects():
    model = network()
    before = dict(model.named_parameters())
    assert over_team(model, Alone()) is model
    assert not any(isinstance(m, TeamBatchNorm) for m in model.modules())
    over_team(model, Two())
    assert sum(isinstance(m, TeamBatchNorm) for m in model.modules()) == 2
    assert {name: id(p) for name, p in model.named_parameters()} == {n: id(p) for n, p in before.items()}
    assert model.state_dict().keys() == network().state_dict().keys()


class Images(nn.Module):
    """Two modalities; all rows meet in the BatchNorm of one of them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.image = nn.Sequential(nn.Conv1d(3, 4, 2), nn.BatchNorm1d(4), nn.Tanh(), nn.Flatten())
        self.sound = nn.Linear(3, 8)
        self.image_head, self.fused = nn.Linear(8, 2), nn.Linear(16, 2)

    def losses(self, x: Tensor) -> dict[str, Tensor]:
        a, b = self.image(x), self.sound(x[..., 0])
        logits = {"fusion": self.fused(torch.cat([a, b], 1)), "image": self.image_head(a), "sound": b}
        return {source: (z**3).sum(1) for source, z in logits.items()}

    def partition(self) -> ModalityPartition:
        modalities = {"image": (self.image, self.image_head), "sound": self.sound}
        return ModalityPartition(modalities, shared=self.fused)


def update(own: Tensor, team: Team) -> dict[str, Tensor]:
    """Gradient that bogc, with moments of rows, gives after two steps."""
    model = Images()
    over_team(model, team)
    balancer = BOGC(model.partition(), PerRow())
    for _ in range(2):
        balancer.backward(model.losses(own))
    return {name: parameter.grad for name, parameter in model.named_parameters()}


def calibrate(rank: int, size: int) -> dict[str, Tensor]:
    own = torch.randn(sum(SPLITS[size]), 3, 3, generator=torch.Generator().manual_seed(5))
    return update(own.split(SPLITS[size])[rank], current_team())


@pytest.mark.parametrize("size", SPLITS)
def test_rows_of_all_processes_give_the_update_of_the_whole_batch(size: int, tmp_path: Path):
    whole = torch.randn(sum(SPLITS[size]), 3, 3, generator=torch.Generator().manual_seed(5))
    expected = update(whole, Alone())
    for found in together(calibrate, size, tmp_path):
        for name, gradient in expected.items():
            torch.testing.assert_close(found[name], gradient, rtol=1e-9, atol=1e-12, msg=name)


@pytest.mark.parametrize("training", [True, False])
def test_rows_are_those_of_torch(training: bool):
    moments = []
    for normalise in (lambda norm: norm, lambda norm: TeamBatchNorm(norm, Alone())):
        torch.manual_seed(4)
        model = nn.Sequential(nn.Linear(3, 4), normalise(nn.BatchNorm1d(4))).train(training)
        partition = ModalityPartition({"all": model})
        PerRow().attach(partition)
        losses = {"fusion": (model(inputs(9)) ** 3).sum(1)}
        moments.append(PerRow().estimate(losses, partition.blocks, {})["fusion"].moments)
    for name, expected in moments[0].items():
        torch.testing.assert_close(moments[1][name].mean, expected.mean, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(moments[1][name].scatter, expected.scatter, rtol=1e-9, atol=1e-12)


class Renamed(TeamBatchNorm):
    """A subclass may do anything, so its rows are not known."""


def test_a_subclass_takes_one_pass_a_sample():
    model = nn.Sequential(nn.Linear(3, 4), Renamed(nn.BatchNorm1d(4), Alone()))
    partition = ModalityPartition({"all": model})
    PerRow().attach(partition)
    losses = {"fusion": (model(inputs(9)) ** 3).sum(1)}
    assert not PerRow().alike(losses, partition.blocks)
    found = PerRow().estimate(losses, partition.blocks, {})["fusion"].moments
    expected = PerSample().estimate(losses, partition.blocks, {})["fusion"].moments
    torch.testing.assert_close(found["all.1"].scatter, expected["all.1"].scatter, rtol=1e-9, atol=1e-12)
