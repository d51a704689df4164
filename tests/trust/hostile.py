"""Hostile arguments for what is public, each in place of a good one; not for the tests' import hook."""

import copy
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

import bogc
from bogc import calibration, gradients, posterior
from bogc.combination import cautious, cumulative, dempster, reduced
from bogc.errors import BogcError
from bogc.methods import Balancer
from bogc.training import TrainConfig

N, D, K = 6, 5, 3
NEVER = (
    "object",
    "type",
    "bytes",
    "complex",
    "quantised",
    "sparse",
    "meta",
    "torch.complex64",
    "torch.float8_e5m2",
)  # never right


@dataclass(frozen=True)
class Target:
    """Something public, with arguments that it takes."""

    name: str
    call: Callable[..., Any]
    arguments: Callable[[], Mapping[str, Any]]
    state: Callable[[], Any] = lambda: None
    """What must stay as it is if the call fails."""
    reset: Callable[[], None] = lambda: None
    """Goes back to the same state before a case."""


def tensors(value: Tensor) -> Iterator[tuple[str, Any]]:
    """Tensors in place of ``value``; those whose name ends in "alike" mean the same."""
    yield from (plain("none", None), plain("text", "x"), plain("list", [1.0]), plain("object", object()))
    yield "number", 0.5
    for name, number in (
        ("nan", torch.nan),
        ("inf", torch.inf),
        ("-inf", -torch.inf),
        ("negative", -1.0),
        ("huge", 3e38),
    ):
        yield name, torch.full_like(value, number)
        one = value.detach().clone()
        if one.numel():
            one.view(-1)[-1] = number
            yield f"one {name}", one
    yield "empty", value.new_zeros(0)
    yield "no rows", value[:0]
    yield "no axis", value.new_tensor(0.5)
    yield "an axis more", value.unsqueeze(0)
    yield "an axis less", value.flatten()[:1]
    yield "an element more", torch.cat([value, value[..., :1]], -1) if value.ndim else value
    for dtype in (torch.int64, torch.bool, torch.complex64, torch.float16, torch.bfloat16, torch.float8_e5m2):
        yield str(dtype), value.detach().to(dtype)
    yield "meta", value.detach().to("meta")
    yield "sparse", value.detach().to_sparse()
    yield "strided alike", torch.stack([value, value + 1], -1)[..., 0]
    yield "expanded", value.flatten()[:1].expand(value.shape)
    yield "quantised", torch.quantize_per_tensor(value.detach().float(), 0.1, 0, torch.qint8)
    yield "parameter alike", nn.Parameter(value.detach().clone())


def plain(name: str, value: Any) -> tuple[str, Any]:
    return name, value


def numbers(value: float) -> Iterator[tuple[str, Any]]:
    yield from (plain("none", None), plain("text", "x"), plain("list", [value]), plain("object", object()))
    yield from (plain("nan", torch.nan), plain("inf", torch.inf), plain("-inf", -torch.inf))
    yield from (plain("negative", -1.5), plain("zero", 0))
    yield from (
        plain("complex", 1j),
        plain("long", 10**400),
        plain("tensor", torch.ones(2)),
        plain("bytes", b"1"),
    )


def others(value: Any) -> Iterator[tuple[str, Any]]:
    yield from (plain("none", None), plain("text", "nothing"), plain("number", 3), plain("object", object()))
    yield from (
        plain("type", type(value)),
        plain("tensor", torch.ones(2)),
        plain("empty", []),
        plain("dict", {1: 2}),
    )
    yield from (plain("bytes", b"x"), plain("generator", (each for each in ())), plain("nan", float("nan")))


def sequences(value: Any) -> Iterator[tuple[str, Any]]:
    yield from others(value)
    yield from (
        plain("holds none", [None]),
        plain("one and none", [value[0], None]),
        plain("tuple alike", tuple(value)),
    )
    yield from (plain("one and text", [value[0], "x"]), plain("its first", value[0]))
    for name, other in instead(value[0]):
        yield f"first: {name}", [other, *value[1:]]


def mappings(value: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    yield from others(value)
    first = next(iter(value))
    yield "a stranger", {**value, "stranger": value[first]}
    yield "a number for a name", {**value, 7: value[first]}
    for name, other in instead(value[first]):
        yield f"{first}: {name}", {**value, first: other}


def instead(value: Any) -> Iterator[tuple[str, Any]]:
    """Everything else that could stand in place of ``value``, with its name."""
    if isinstance(value, Tensor):
        return tensors(value)
    if isinstance(value, Mapping):
        return mappings(value)
    if isinstance(value, list):
        return sequences(value)
    return numbers(value) if isinstance(value, int | float) and not isinstance(value, bool) else others(value)


def judged(target: Target) -> Iterator[tuple[str, str]]:
    """Case, and "typed", "right", or what is wrong with it."""
    target.reset()
    expected = copied(leaves(target.call(**target.arguments())))
    for parameter, good in target.arguments().items():
        for place, (name, _) in enumerate(instead(good)):
            arguments = target.arguments()  # made anew for each case: a graph serves once
            wrong = next(islice(instead(arguments[parameter]), place, None))[1]
            target.reset()
            before = copy.deepcopy(target.state())
            verdict = verdict_on(target, {**arguments, parameter: wrong}, name, expected)
            if verdict[0] in "tb" and not equal(leaves(before), leaves(target.state())):
                verdict = "half-changed"
            yield f"{target.name}({parameter}: {name})", verdict


def verdict_on(target: Target, arguments: Mapping[str, Any], name: str, expected: Any) -> str:
    try:
        found = target.call(**arguments)
    except BogcError as error:
        return "typed" if all((error.parameter, error.rule, error.remedy)) else "unsaid"
    except BaseException as error:
        return f"bare {type(error).__name__}: {str(error)[:90]}"
    same = not name.endswith("alike") or equal(leaves(found), expected)
    return "right" if same and finite(found) and name not in NEVER else f"silent: {str(found)[:60]}"


def leaves(value: Any, depth: int = 0) -> list[Any]:
    """Tensors and plain values in what was returned."""
    if isinstance(value, Mapping):
        return [leaf for item in value.values() for leaf in leaves(item, depth + 1)]
    if isinstance(value, list | tuple):
        return [leaf for item in value for leaf in leaves(item, depth + 1)]
    if hasattr(value, "__dataclass_fields__") and depth < 5:
        return [
            leaf for name in value.__dataclass_fields__ for leaf in leaves(getattr(value, name), depth + 1)
        ]
    return [value] if isinstance(value, Tensor | float | int | str | type(None)) else []


def copied(found: list[Any]) -> list[Any]:
    return [leaf.detach().clone() if isinstance(leaf, Tensor) else leaf for leaf in found]


def equal(one: list[Any], other: list[Any]) -> bool:
    def alike(a: Any, b: Any) -> bool:
        if isinstance(a, Tensor) and isinstance(b, Tensor):
            return a.shape == b.shape and bool(torch.allclose(a.detach(), b.detach(), equal_nan=True))
        return type(a) is type(b) and (a == b or repr(a) == repr(b))

    return len(one) == len(other) and all(map(alike, one, other))


def finite(value: Any) -> bool:
    found = [leaf for leaf in leaves(value) if isinstance(leaf, Tensor | float)]
    return all(
        bool(torch.as_tensor(leaf).detach().to_dense().isfinite().all()) for leaf in found if not meta(leaf)
    )


def meta(value: Any) -> bool:
    return isinstance(value, Tensor) and value.device.type == "meta"


def simple() -> Iterator[Target]:
    """The objects of the pipeline, and the rules."""
    samples = torch.randn(N, D)
    x, rate = torch.rand(2, K) + 0.1, torch.full((K,), 1 / K)
    evidence = bogc.Evidence(x, 2.0)
    opinion = bogc.Opinion.from_evidence(evidence)
    dirichlet = bogc.DirichletBelief.from_evidence(evidence)
    mass = bogc.MassFunction.from_opinion(opinion)
    moments = bogc.GradientMoments.from_samples(samples)
    prior = bogc.GradientPrior(torch.zeros(D), torch.ones(D))
    found = bogc.ConjugateNormal(prior)(moments)
    yield Target("Evidence", bogc.Evidence, lambda: {"values": x, "prior_weight": 2.0})
    yield Target(
        "DirichletBelief",
        bogc.DirichletBelief,
        lambda: {"concentration": dirichlet.concentration, "prior_weight": 2.0, "base_rate": rate},
    )
    yield Target(
        "DirichletBelief.from_evidence", bogc.DirichletBelief.from_evidence, lambda: {"evidence": evidence}
    )
    yield Target(
        "Opinion",
        bogc.Opinion,
        lambda: {"belief": opinion.belief, "uncertainty": opinion.uncertainty, "base_rate": rate},
    )
    yield Target("Opinion.from_dirichlet", bogc.Opinion.from_dirichlet, lambda: {"dirichlet": dirichlet})
    yield Target("Opinion.from_evidence", bogc.Opinion.from_evidence, lambda: {"evidence": evidence})
    yield Target("Opinion.to_dirichlet", opinion.to_dirichlet, lambda: {"prior_weight": 2.0})
    yield Target("MassFunction", bogc.MassFunction, lambda: {"values": mass.values})
    yield Target("MassFunction.from_opinion", bogc.MassFunction.from_opinion, lambda: {"opinion": opinion})
    fields = ("mean", "scatter", "count", "degrees_of_freedom")
    yield Target(
        "GradientMoments", bogc.GradientMoments, lambda: {name: getattr(moments, name) for name in fields}
    )
    yield Target(
        "GradientMoments.from_samples",
        bogc.GradientMoments.from_samples,
        lambda: {"gradients": samples},
    )
    yield Target(
        "GradientPrior", bogc.GradientPrior, lambda: {"loc": torch.zeros(D), "variance": torch.ones(D)}
    )
    yield Target(
        "GradientPosterior",
        bogc.GradientPosterior,
        lambda: {"loc": torch.zeros(D), "variance": torch.ones(D)},
    )
    yield Target(
        "ConjugateNormal",
        lambda prior, moments: bogc.ConjugateNormal(prior)(moments),
        lambda: {"prior": prior, "moments": moments},
    )
    yield Target(
        "PseudoCount",
        lambda weight, posterior, prior: bogc.PseudoCount(prior_weight=weight)(posterior, prior),
        lambda: {"weight": 2.0, "posterior": found, "prior": prior},
    )
    for rule in (reduced, cumulative, cautious):
        yield Target(f"{rule.__name__}.combine", rule.combine, lambda: {"opinions": [opinion, opinion]})
    yield Target(
        "reduced.combine_evidence", reduced.combine_evidence, lambda: {"evidences": [evidence, evidence]}
    )
    yield Target("dempster.combine", dempster.combine, lambda: {"masses": [mass, mass]})
    yield Target("dempster.conjunction", dempster.conjunction, lambda: {"masses": [mass, mass]})
    own = [bogc.Opinion.from_evidence(bogc.PseudoCount()(found, prior))] * 2
    yield Target(
        "calibrate",
        bogc.calibrate,
        lambda: {
            "posteriors": [found, found],
            "opinions": own,
            "fused": reduced.combine(own),
            "means": [moments.mean, moments.mean],
        },
    )
    yield from settings()


def settings() -> Iterator[Target]:
    """Choices that take numbers."""
    yield Target("NormalInverseGammaRoute", posterior.NormalInverseGammaRoute, lambda: {"shape": 3.0})
    yield Target("FixedPrior", posterior.FixedPrior, lambda: {"value": 1.0})
    yield Target("SuccessivePrior", posterior.SuccessivePrior, lambda: {"decay": 0.9})
    yield Target("Successive", gradients.Successive, lambda: {"decay": 0.9})
    yield Target("Grouped", gradients.Grouped, lambda: {"groups": 4})
    yield Target(
        "Pipeline",
        calibration.Pipeline,
        lambda: {
            "weights": calibration.RelativeBelief(),
            "conservatism": calibration.FusedCertainty(),
            "prior": posterior.SuccessivePrior(),
            "route": posterior.NormalRoute(),
            "evidence": bogc.PseudoCount(),
            "rule": reduced.RULE,
            "aggregated": "batch-mean",
        },
    )
    layer = nn.Linear(2, 3)
    yield Target(
        "ModalityPartition",
        bogc.ModalityPartition,
        lambda: {"modalities": {"audio": [layer], "video": [nn.Linear(2, 3)]}, "shared": [nn.Linear(6, 3)]},
    )
    yield Target(
        "TrainConfig",
        TrainConfig,
        lambda: {
            "epochs": 2,
            "lr": 0.1,
            "method": "sum",
            "seed": 1,
            "momentum": 0.5,
            "device": "cpu",
            "fold": 0,
            "batch_size": 8,
            "features": 4,
            "weight_decay": 0.1,
            "fusion": "concat",
            "optimiser": "sgd",
        },
    )


class Network(nn.Module):
    """Two encoders with a head each, and a fusion head."""

    def __init__(self) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict({m: nn.Linear(4, 3) for m in "ab"})
        self.heads = nn.ModuleDict({m: nn.Linear(3, K) for m in "ab"})
        self.fusion = nn.Linear(6, K)

    def losses(self, seed: int = 0) -> dict[str, Tensor]:
        torch.manual_seed(seed)
        hidden = {m: encoder(torch.randn(N, 4)).relu() for m, encoder in self.encoders.items()}
        logits = {"fusion": self.fusion(torch.cat(list(hidden.values()), 1))}
        logits |= {m: self.heads[m](h) for m, h in hidden.items()}
        targets = torch.arange(N) % K
        return {s: nn.functional.cross_entropy(z, targets, reduction="none") for s, z in logits.items()}

    def partition(self) -> bogc.ModalityPartition:
        return bogc.ModalityPartition(
            {m: [self.encoders[m], self.heads[m]] for m in "ab"}, shared=[self.fusion]
        )


def steps() -> Iterator[Target]:
    """A step of three methods, from the same state every time, and what they are told to remember."""
    for kind in (bogc.BOGC, bogc.UnimodalSum, bogc.JointTraining):
        torch.manual_seed(0)
        network = Network()
        balancer = kind(network.partition())
        for seed in range(4):
            network.zero_grad()
            balancer.backward(network.losses(seed))
        yield from steps_of(network, balancer)


def steps_of(network: Network, balancer: Balancer) -> Iterator[Target]:
    saved = copy.deepcopy(balancer.state_dict())

    def gradients_of() -> list[Any]:
        return [p.grad for p in network.parameters()]

    def step(losses: Any) -> list[Any]:
        return [dict(balancer.backward(losses).losses), gradients_of()]

    def reset() -> None:
        balancer.load_state_dict(copy.deepcopy(saved))
        network.zero_grad()

    def state() -> list[Any]:
        return [gradients_of(), balancer.state_dict()]

    name = type(balancer).__name__
    yield Target(f"{name}.backward", step, lambda: {"losses": network.losses()}, state, reset)
    yield Target(f"{name}.load_state_dict", balancer.load_state_dict, lambda: {"state": saved}, state, reset)


def every() -> dict[str, str]:
    """All cases."""
    torch.manual_seed(0)
    found: dict[str, str] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for target in (*simple(), *steps()):
            found |= judged(target)
    return found
