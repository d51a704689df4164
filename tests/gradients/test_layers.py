"""Each layer's contributions against autograd on one row of the layer's own output."""

import pytest
import torch
from torch import Tensor, nn

from bogc.gradients.layers import LAYERS
from bogc.gradients.recording import Arrival, uses, watch

N = 6


def words(*shape: int) -> Tensor:
    return torch.randint(4, (N, *shape))


CASES = {
    "linear": (nn.Linear(5, 4), torch.randn(N, 5)),
    "linear without bias": (nn.Linear(5, 4, bias=False), torch.randn(N, 5)),
    "linear on pairs": (nn.Linear(5, 4), torch.randn(N, 2, 5)),
    "linear on sequences": (nn.Linear(5, 4), torch.randn(N, 9, 5)),
    "linear on pictures": (nn.Linear(5, 4), torch.randn(N, 3, 2, 5)),
    "linear on no positions": (nn.Linear(5, 4), torch.randn(N, 0, 5)),
    "conv1d": (nn.Conv1d(3, 4, 3), torch.randn(N, 3, 20)),
    "conv1d, few positions": (nn.Conv1d(3, 4, 3), torch.randn(N, 3, 5)),
    "conv1d, all options": (nn.Conv1d(4, 6, 3, 2, 2, 2, groups=2), torch.randn(N, 4, 20)),
    "conv1d, same": (nn.Conv1d(3, 4, 4, padding="same"), torch.randn(N, 3, 11)),
    "conv1d, circular": (nn.Conv1d(3, 4, 3, padding=2, padding_mode="circular"), torch.randn(N, 3, 11)),
    "conv2d": (nn.Conv2d(3, 4, 3, padding=1), torch.randn(N, 3, 7, 6)),
    "conv2d, one position": (nn.Conv2d(3, 4, 3), torch.randn(N, 3, 3, 3)),
    "conv2d, 1 x 1": (nn.Conv2d(3, 4, 1, stride=2, bias=False), torch.randn(N, 3, 7, 6)),
    "conv2d, all options": (
        nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 3), (1, 2), groups=2), torch.randn(N, 4, 9, 8)
    ),
    "conv2d, by channel": (nn.Conv2d(4, 8, 3, groups=4), torch.randn(N, 4, 6, 6)),
    "conv2d, valid": (nn.Conv2d(3, 4, 3, padding="valid"), torch.randn(N, 3, 7, 6)),
    "conv2d, same, even": (nn.Conv2d(3, 4, (2, 3), padding="same", dilation=(1, 2)), torch.randn(N, 3, 7, 6)),
    "conv2d, mirror": (nn.Conv2d(3, 4, 3, padding=(1, 2), padding_mode="reflect"), torch.randn(N, 3, 7, 5)),
    "batch norm": (nn.BatchNorm1d(4), torch.randn(N, 4)),
    "batch norm of series": (nn.BatchNorm1d(4), torch.randn(N, 4, 5)),
    "batch norm of pictures": (nn.BatchNorm2d(4), torch.randn(N, 4, 5, 3)),
    "batch norm of volumes": (nn.BatchNorm3d(4), torch.randn(N, 4, 5, 3, 2)),
    "batch norm, no memory": (nn.BatchNorm1d(4, track_running_stats=False).eval(), torch.randn(N, 4)),
    "batch norm, evaluating": (nn.BatchNorm2d(4).eval(), 3 + torch.randn(N, 4, 5, 3)),
    "layer norm": (nn.LayerNorm(5), torch.randn(N, 5)),
    "layer norm on sequences": (nn.LayerNorm(5), torch.randn(N, 3, 5)),
    "layer norm, two axes": (nn.LayerNorm((3, 5)), torch.randn(N, 2, 2, 3, 5)),
    "layer norm without bias": (nn.LayerNorm(5, bias=False), torch.randn(N, 3, 5)),
    "group norm": (nn.GroupNorm(2, 4), torch.randn(N, 4, 5)),
    "embedding of one word": (nn.Embedding(4, 3), words()),
    "embedding of repeated words": (nn.Embedding(4, 3), words(7)),
    "embedding with padding": (nn.Embedding(4, 3, padding_idx=1), words(2, 7)),
}  # fmt: skip


def run(layer: nn.Module, x: Tensor, calls: int = 1) -> tuple[list[Arrival], dict[str, Tensor]]:
    """What arrived at recorded calls, and as an oracle what autograd says of each row of the outputs."""
    for parameter in layer.parameters():
        nn.init.normal_(parameter)  # norms start as the identity
    watch([layer], LAYERS)
    xs = [x if call == 0 else x.flip(0) for call in range(calls)]
    outputs = [layer(x) for x in xs]
    deltas = [torch.randn_like(output) for output in outputs]
    found = {call.input.data_ptr(): call for call, _ in uses([output.sum() for output in outputs]).calls}
    arrivals = [Arrival(found[x.data_ptr()], delta) for x, delta in zip(xs, deltas, strict=True)]
    named = dict(layer.named_parameters())
    rows = []
    for n in range(N):
        total = torch.stack([(o[n] * d[n]).sum() for o, d in zip(outputs, deltas, strict=True)]).sum()
        rows.append(torch.autograd.grad(total, list(named.values()), retain_graph=True))
    return arrivals, {name: torch.stack(g) for name, g in zip(named, zip(*rows, strict=True), strict=True)}


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("calls", [1, 2])
@pytest.mark.parametrize("case", CASES)
def test_mean_and_scatter_are_those_of_the_rows(case: str, calls: int):
    layer, x = CASES[case]
    layer = layer.double()
    arrivals, oracle = run(layer, x if case.startswith("embedding") else x.double(), calls)
    rule = LAYERS[type(layer)]
    assert rule.fits([a.call for a in arrivals], N)
    contributions = rule.contributions(layer, arrivals)
    for name, rows in oracle.items():
        mean = rows.mean(0)
        expected = (rows - mean).square().sum(0)
        found, scatter = (torch.full_like(mean, torch.nan) for _ in range(2))
        contributions[name].write(found, scatter)
        torch.testing.assert_close(found, mean, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(scatter, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (nn.Linear(5, 4), torch.randn(5)),
        (nn.Linear(5, 4), torch.randn(1, 5)),
        (nn.Conv1d(3, 4, 2), torch.randn(3, 5)),
        (nn.LayerNorm(5), torch.randn(5)),
        (nn.Embedding(4, 3, scale_grad_by_freq=True), words()),
        (nn.Embedding(4, 3, sparse=True), words()),
    ],
    ids=["no rows", "one row", "convolution without rows", "norm without rows", "by frequency", "sparse"],
)
def test_what_has_no_rows_or_is_not_understood_does_not_fit(layer: nn.Module, x: Tensor):
    layer = layer.double()
    x = x.double() if x.is_floating_point() else x
    watch([layer], LAYERS)
    output = layer(x)
    ((call, _),) = uses([output.sum()]).calls
    assert not LAYERS[type(layer)].fits([call], len(x) if len(x) > 1 else N)


def test_another_number_of_rows_does_not_fit():
    layer = nn.Linear(5, 4)
    arrivals, _ = run(layer, torch.randn(N, 5))
    assert LAYERS[nn.Linear].fits([a.call for a in arrivals], N)
    assert not LAYERS[nn.Linear].fits([a.call for a in arrivals], N + 1)


def test_an_input_or_a_statistic_changed_in_place_does_not_fit():
    layer, x = nn.BatchNorm1d(4).eval(), torch.randn(N, 4)
    arrivals, _ = run(layer, x)
    layer.train()(x)
    assert not LAYERS[nn.BatchNorm1d].fits([a.call for a in arrivals], N)
    layer, x = nn.Linear(4, 4), torch.randn(N, 4)
    arrivals, _ = run(layer, x)
    x.add_(1)
    assert not LAYERS[nn.Linear].fits([a.call for a in arrivals], N)
