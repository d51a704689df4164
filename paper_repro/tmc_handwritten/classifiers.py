"""The classifier of Han et al. 2021, and a plain one on concatenated features for context."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot, softplus

from bogc.belief import DirichletBelief, Evidence, Opinion
from bogc.combination.reduced import RULE
from paper_repro.tmc_handwritten.loss import annealed, evidential_loss

CLASSES = 10


class Classifier(nn.Module, ABC):
    """A classifier that knows its loss."""

    @abstractmethod
    def scores(self, inputs: Mapping[str, Tensor]) -> Float[Tensor, "N K"]:
        """One score a class; the largest is the prediction."""

    @abstractmethod
    def loss(self, inputs: Mapping[str, Tensor], targets: Int[Tensor, " N"], epoch: int) -> Float[Tensor, ""]:
        """Mean over the batch of what is minimised in this epoch."""


class TrustedClassifier(Classifier):
    """A linear layer a view gives evidence; Dempster's reduced rule fuses the views' opinions.

    Args:
        features: View to its number of features, in the order in which they are fused.
        annealing_epochs: See ``TmcConfig``.
    """

    def __init__(self, features: Mapping[str, int], annealing_epochs: int) -> None:
        super().__init__()
        self.annealing_epochs = annealing_epochs
        self.layers = nn.ModuleDict(
            {view: nn.Linear(size, CLASSES, dtype=torch.float32) for view, size in features.items()}
        )

    def beliefs(self, inputs: Mapping[str, Tensor]) -> DirichletBelief:
        """Dirichlet beliefs [V + 1, N, K] with prior weight K: the views in order, then the fused one."""
        logits = torch.stack([layer(inputs[view]) for view, layer in self.layers.items()])
        evidence = Evidence.unchecked(values=softplus(logits), prior_weight=CLASSES)
        views = DirichletBelief.from_evidence(evidence)
        fused = fused_concentration(Opinion.from_dirichlet(views), CLASSES)
        return DirichletBelief.unchecked(
            concentration=torch.cat([views.concentration, fused.unsqueeze(0)]),
            prior_weight=CLASSES,
            base_rate=views.base_rate,
        )

    def scores(self, inputs: Mapping[str, Tensor]) -> Float[Tensor, "N K"]:
        """Concentration of the fused Dirichlet."""
        return self.beliefs(inputs).concentration[-1]

    def loss(self, inputs: Mapping[str, Tensor], targets: Int[Tensor, " N"], epoch: int) -> Float[Tensor, ""]:
        """Sum over the views and the fused belief of the evidential loss, mean over the batch."""
        right = one_hot(targets, CLASSES).bool()
        weight = annealed(epoch, self.annealing_epochs)
        return evidential_loss(self.beliefs(inputs).concentration, right, weight).sum(0).mean()


def fused_concentration(opinions: Opinion, prior_weight: int) -> Float[Tensor, "N K"]:
    """Concentration of the opinion that Dempster's reduced rule makes of opinions [V, N, K].

    The opinions come from finite evidence, so the fused uncertainty is positive, and nothing is read.
    """
    sources = zip(opinions.belief, opinions.uncertainty, strict=True)
    fused = RULE.fold(
        [Opinion.unchecked(belief=b, uncertainty=u, base_rate=opinions.base_rate) for b, u in sources]
    )
    return prior_weight * (fused.belief / fused.uncertainty.unsqueeze(-1) + fused.base_rate)


class ConcatenationClassifier(Classifier):
    """All features side by side, one hidden layer of ReLUs, cross-entropy.

    Args:
        features: View to its number of features.
        hidden: Hidden units.
    """

    def __init__(self, features: Mapping[str, int], hidden: int) -> None:
        super().__init__()
        self.views = tuple(features)
        self.network = nn.Sequential(
            nn.Linear(sum(features.values()), hidden, dtype=torch.float32),
            nn.ReLU(),
            nn.Linear(hidden, CLASSES, dtype=torch.float32),
        )

    def scores(self, inputs: Mapping[str, Tensor]) -> Float[Tensor, "N K"]:
        """Logits."""
        logits: Tensor = self.network(torch.cat([inputs[view] for view in self.views], dim=1))
        return logits

    def loss(self, inputs: Mapping[str, Tensor], targets: Int[Tensor, " N"], epoch: int) -> Float[Tensor, ""]:
        """Cross-entropy, mean over the batch, the same in every epoch."""
        return cross_entropy(self.scores(inputs), targets)
