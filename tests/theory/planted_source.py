"""Wrong lines planted one at a time in a copy of bogc, each of which must fail a check of theory/.

``python -m tests.theory.planted_source`` prints the score; with two numbers, every Nth fault from a first one is
tried. Only checks that name code of bogc are run, until one fails. Each fault has a process of its own, forked
once torch, Pyro and SymPy are imported, in which bogc and theory are imported anew, bogc from the copy.
"""

# ruff: noqa: E501 - a fault stands in one line

import importlib
import os
import pickle
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
import torch._dynamo  # which an optimiser's first step would import in every process

import bogc
import bogc.mini  # so that what it imports is imported once
from tests.theory.planted import Fault, planted
from theory.chapters import chapters

PACKAGE = Path(bogc.__file__).parent

SOURCE = (
    Fault("posterior/conjugate.py", "return prior_variance / (prior_variance + noise)", "return noise / (prior_variance + noise)"),
    Fault("posterior/conjugate.py", "(moments.degrees_of_freedom + 1) / 2", "moments.degrees_of_freedom / 2"),
    Fault("posterior/prior.py", "return signal * (level * count) ** 0.5", "return signal * (level / count) ** 0.5"),
    Fault("posterior/prior.py", '["product"].mul_(self.decay).add_(sums.products[0] / unit)', '["product"].mul_(self.decay).add_(sums.products[0] * unit)'),
    Fault("posterior/prior.py", '"root"], alpha=1 / self.samples', '"root"], alpha=-1 / self.samples'),
    Fault("posterior/prior.py", "(c2 / c1).clamp", "(c1 / c2).clamp"),
    Fault("posterior/prior.py", "table[\"square\"] / ages - noise", "table[\"square\"] / ages + noise"),
    Fault("posterior/filtered.py", "kept = phi * phi", "kept = phi"),
    Fault("posterior/filtered.py", "ratio / (1 + evidence) * (moments.mean - expected)", "ratio / evidence * (moments.mean - expected)"),
    Fault("belief/frames.py", ".mul_(posterior.loc).mul_(sqrt(0.5))", ".mul_(posterior.loc)"),
    Fault("belief/frames.py", "amount * (prior_weight / pool.sum(torch.ones_like(amount)))", "amount * prior_weight"),
    Fault("belief/evidence_maps.py", "prior.variance, posterior.variance, value", "posterior.variance, prior.variance, value"),
    Fault("belief/evidence_maps.py", "posterior.variance.pow(-self.exponent)", "posterior.variance.pow(self.exponent)"),
    Fault("belief/opinion.py", "(self.belief / self.uncertainty.unsqueeze(-1) + self.base_rate)", "(self.belief / self.uncertainty.unsqueeze(-1) - self.base_rate)"),
    Fault("combination/reduced.py", "first, second, value=1 / weight)", "first, second, value=weight)"),
    Fault("combination/cautious.py", "together(torch.maximum, first", "together(torch.minimum, first"),
    Fault("combination/sources.py", "product(first, u2), product(u1, second)", "product(first, u1), product(u2, second)"),
    Fault("combination/sources.py", "keepdim=True)).clamp_max(1)", "keepdim=True)).clamp_min(1)"),
    Fault("calibration/tracker.py", "1 / (1 / count + 1 / memory.count)", "1 / (1 / count + 2 / memory.count)"),
    Fault("calibration/tracker.py", "recent = fast / discounted_count(choice.fast, before)", "recent = fast / discounted_count(choice.decay, before)"),
    Fault("calibration/tracker.py", "discounted_count(choice.decay, seen) + choice", "discounted_count(choice.decay, before) + choice"),
    Fault("calibration/update.py", "sum_of(share * values).mul_(allowed)", "sum_of(share * values)"),
    Fault("calibration/weights.py", "self.mix * normalise(beliefs) + (1 - self.mix)", "(1 - self.mix) * normalise(beliefs) + self.mix"),
    Fault("calibration/conservatism.py", "frame.certainty(fused, pool).mul_(sources)", "frame.certainty(fused, pool)"),
    Fault("calibration/scaling.py", "torch.where(lengths > 0, plain / lengths, 0)", "torch.where(lengths > 0, lengths / plain, 0)"),
    Fault("calibration/pipeline.py", "return moments.mean if means else posterior.loc", "return posterior.loc if means else moments.mean"),
    Fault("gradients/moments.py", "value=(count - 1) / count)", "value=1 / count)"),
    Fault("gradients/estimators.py", "sum(map(len, sizes[source])) - 1", "sum(map(len, sizes[source]))"),
    Fault("gradients/drawn.py", "(fisher + damping).reciprocal()", "(fisher * damping).reciprocal()"),
    Fault("gradients/drawn.py", "[own.div_(len(losses)) for own in total]", "list(total)"),
    Fault("gradients/groups.py", "torch.addcmul(own, fill, filled, value=-1)", "torch.addcmul(own, fill, filled, value=1)"),
    Fault("methods/sums.py", "losses.detach() / smoothing", "losses.detach() * smoothing"),
    Fault("methods/ogm_ge.py", "torch.sigmoid(-2 * alpha * ratios)", "torch.sigmoid(-alpha * ratios)"),
    Fault("methods/ogm_ge.py", "torch.where(ratios > 1, slowed", "torch.where(ratios < 1, slowed"),
    Fault("methods/cggm.py", "(balance.abs() - balance * cosines)", "(balance.abs() + balance * cosines)"),
    Fault("methods/mmpareto.py", "ratio.clamp(min=1)", "ratio.clamp(max=1)"),
    Fault("methods/inverse_variance.py", "(weights * gradients).sum(0), len(gradients)", "(weights * gradients).sum(0), 1"),
    Fault("methods/i2m2.py", "if done < self.apart", "if done > self.apart"),
    Fault("mini.py", "samples / 2 * (g - past.gradient) ** 2  #", "samples * (g - past.gradient) ** 2  #"),
    Fault("mini.py", "first + second + first * second / W", "first + second - first * second / W"),
    Fault("methods/ogm_ge.py", "gather(1, true) * counted).sum()", "gather(1, true)).sum()"),
    Fault("methods/ogm_ge.py", "(targets >= 0).unsqueeze(1)", "(targets > 0).unsqueeze(1)"),
    Fault("methods/ogm_ge.py", "(len(scores) - 1) * scores / others", "len(scores) * scores / others"),
    Fault("methods/ogm_ge.py", "torch.where(scores.sum() > 0, ratios, 1.0)", "torch.where(scores.sum() > 0, ratios, 0.0)"),
    Fault("methods/ogm_ge.py", "noisy = (own < 1) &", "noisy = (own <= 1) &"),
    Fault("methods/ogm_ge.py", "moments.noise[0].sqrt() * layout.mask(own)", "moments.noise[0] * layout.mask(own)"),
    Fault("methods/ogm_ge.py", "leads = ratios[1] > 1", "leads = ratios[1] < 1"),
    Fault("methods/ogm_ge.py", "torch.stack([~leads, leads])", "torch.stack([leads, leads])"),
    Fault("methods/ogm_ge.py", "self.noise * (gradient.std() + 1e-8)", "self.noise * gradient.var()"),
    Fault("methods/ogm_ge.py", "return parameter.dim() == 4", "return parameter.dim() >= 2"),
    Fault("methods/cggm_released.py", "gradients[parameter] + self.direction * pull", "gradients[parameter] - self.direction * pull"),
    Fault("methods/cggm_released.py", "self.clip / (norm + 1e-6)", "norm / (self.clip + 1e-6)"),
    Fault("methods/cggm_released.py", "merit - before.get(m", "merit + before.get(m"),
    Fault("methods/cggm.py", "1 + self.strength * (self.rho * b - 1)", "1 + self.strength * self.rho * (b - 1)"),
    Fault("methods/cggm.py", "(total - gains) / total", "gains / total"),
    Fault("methods/cggm.py", "1 - (positive + floor / len(gains))", "1 - (positive + floor)"),
    Fault("methods/mmpareto.py", "torch.where(a.dot(b) > 0, 0.5", "torch.where(a.dot(b) < 0, 0.5"),
    Fault("methods/mmpareto.py", "edge=0.001)", "edge=0.0)"),
    Fault("methods/mmpareto.py", "span.dot(b) / span.dot(span)", "span.dot(a) / span.dot(span)"),
    Fault("gradients/estimators.py", "before.merge(part) if before", "part.merge(part) if before"),
    Fault("gradients/estimators.py", "GradientMoments.from_groups(values, _column(counts, values))", "GradientMoments.from_groups(values, torch.ones_like(_column(counts, values)))"),
    Fault("gradients/estimators.py", "group_cotangents(loss, self.groups) / unit", "group_cotangents(loss, self.groups) * unit"),
    Fault("gradients/estimators.py", "part / unit, self.vectorize", "part, self.vectorize"),
    Fault("gradients/estimators.py", "{k: m.scatter for k, m in found.items()}", "{k: m.variance for k, m in found.items()}"),
    Fault("gradients/differentiate.py", "1 / ((count or len(losses)) * unit)", "unit / (count or len(losses))"),
    Fault("gradients/moments.py", "self.scatter / self.degrees_of_freedom", "self.scatter / self.count"),
    Fault("calibration/tracker.py", "(choice.moderation * variance).mul_(level)", "(choice.moderation * variance)"),
    Fault("calibration/tracker.py", "[\"fast\"].mul_(self.successive.fast)", "[\"fast\"].mul_(self.successive.decay)"),
    Fault("calibration/conservatism.py", "fused.values[..., 0] - fused.values[..., 1]", "fused.values[..., 0] + fused.values[..., 1]"),
    Fault("calibration/weights.py", "posterior.variance.amin(0) / posterior.variance", "posterior.variance / posterior.variance.amin(0)"),
    Fault("methods/inverse_variance.py", "torch.softmax(-power * logarithms", "torch.softmax(power * logarithms"),
    Fault("methods/sums.py", "self.strength * weights", "weights / self.strength"),
    Fault("models/product_of_experts.py", "(1 - len(logits.keys() - {JOINT}))", "(len(logits.keys() - {JOINT}) - 1)"),
    Fault("combination/cumulative.py", "(first, unit, second)", "(first, unit, second, value=1 / weight)"),
    Fault("combination/dempster.py", "joint[..., 0] = 0", "joint[..., -1] = 0"),
    Fault("belief/measures.py", "free * u\n    return (1 - shared", "free\n    return (1 - shared"),
    Fault("belief/dirichlet.py", "evidence.values + evidence.prior_weight * base_rate", "evidence.values + base_rate"),
    Fault("posterior/prior.py", "clamp(0.5, 0.98))\n        known", "clamp(0.1, 0.98))\n        known"),
    Fault("posterior/matched.py", "variance=moments.noise)\n\n    def posterior", "variance=moments.variance)\n\n    def posterior"),
    Fault("belief/measures.py", "subset_sum(mass.values) - mass.values[..., :1]", "subset_sum(mass.values)"),
    Fault("belief/measures.py", "sum(1, keepdim=True).clamp_min(1)", "sum(1, keepdim=True).clamp(1, 3)"),
    Fault("combination/sources.py", "total, uncertainty / total", "total, 1 - belief.sum(-1, keepdim=True) / total"),
)  # fmt: skip


NOTHING = Fault(
    "mini.py", "import torch\nfrom torch import Tensor", "import torch\n\nfrom torch import Tensor"
)
"""A change that is none."""


class Verdict(NamedTuple):
    """What the checks say of a fault: the first that fails, or "", and why."""

    check: str
    why: str


def verdict(fault: Fault) -> Verdict:
    """Run the checks on a copy of bogc with the fault, in a process of its own.

    Raises:
        RuntimeError: The changed copy cannot be imported: that is no wrong line but a broken one.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / PACKAGE.name
        shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        (copy / fault.file).write_text(planted(fault, PACKAGE), encoding="utf-8")
        found = forked(lambda: judged(folder, fault))
    if isinstance(found, Verdict):
        return found
    raise RuntimeError(f"{fault}: {found}")


def forked(work: Callable[[], object]) -> object:
    """Do some work in a child process; return its result, or the traceback of what it raised."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            result: object = work()
        except BaseException:  # nothing may leave the child but through the pipe
            result = traceback.format_exc()
        with os.fdopen(writer, "wb") as file:
            pickle.dump(result, file)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        sent = file.read()
    os.waitpid(child, 0)
    return pickle.loads(sent)


def judged(folder: str, fault: Fault) -> Verdict:
    """Import bogc and theory anew, with bogc from ``folder``, and run checks until one fails."""
    for name in [n for n in sys.modules if n.partition(".")[0] in ("bogc", "theory")]:
        del sys.modules[name]
    sys.path.insert(0, folder)
    importlib.import_module("bogc.mini")
    anew = importlib.import_module("theory.chapters").chapters()
    registry, runs = (importlib.import_module(f"theory.{name}") for name in ("registry", "run"))
    checks = [c for chapter in anew for c in registry.checks_of(chapter.module) if c.code]
    own = "bogc." + fault.file.removesuffix(".py").replace("/", ".")
    for check in sorted(checks, key=lambda c: home(c.code) != own):
        outcome = runs.run(check)
        if not outcome.passed:
            return Verdict(check.name, outcome.reason or f"{outcome.error:.1e} > {check.tolerance:.0e}")
    return Verdict("", "")


def home(code: str) -> str:
    """Module in which what a check names is defined."""
    module, names = code, list[str]()
    while module not in sys.modules:
        module, _, name = module.rpartition(".")
        names.insert(0, name)
    found: object = sys.modules[module]
    for name in names:
        found = getattr(found, name)
    return getattr(found, "__module__", module)


def survivors(faults: Sequence[Fault]) -> list[Fault]:
    """Faults that no check catches; says on the way which check caught which."""
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    chapters()
    alive = []
    for fault in faults:
        check, why = verdict(fault)
        print(f"{fault.file}: {fault.new}\n    {f'{check}: {why}' if check else 'MISSED'}", flush=True)
        if not check:
            alive.append(fault)
    return alive


if __name__ == "__main__":
    every, first = map(int, sys.argv[1:] or ("1", "0"))
    chosen = SOURCE[first::every]
    missed = survivors(chosen)
    print(f"{len(chosen) - len(missed)} of {len(chosen)} planted faults caught")
    if every == 1 and verdict(NOTHING).check:
        sys.exit("a check fails without any fault")
    sys.exit(bool(missed))
