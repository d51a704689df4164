"""The experiment: which runs there are, and which published numbers they speak about."""

from collections.abc import Mapping
from functools import partial

import torch

from paper_repro.experiment import Experiment, Series, Task
from paper_repro.huang_iemocap.config import HuangIemocapConfig
from paper_repro.huang_iemocap.fitting import SETS, fit, latent_risk, slots, utterances
from paper_repro.readers.files import folder_named_by
from paper_repro.readers.iemocap_dialogues import FILE, FOLDER, Dialogues, read_iemocap_dialogues

SHARES = HuangIemocapConfig().shares


def tasks(config: HuangIemocapConfig) -> Mapping[str, Task]:
    """Name every run; each is independent of the others."""
    found: dict[str, Task] = {"slots without an utterance": empty_slots}
    for name in SETS:
        for seed in range(config.seeds):
            for share in config.shares:
                found[f"{name}, share {share}, seed {seed}"] = partial(run_share, config, name, share, seed)
            found[f"{name}, slots, seed {seed}"] = partial(run_slots, config, name, seed)
            found[f"{name}, validated, seed {seed}"] = partial(run_validated, config, name, seed)
    return found


def dialogues() -> tuple[Dialogues, Dialogues]:
    """Read the published parts, for training and for the test."""
    parts = read_iemocap_dialogues(folder_named_by(FOLDER) / FILE)
    return parts["train"], parts["test"]


def longest(*parts: Dialogues) -> int:
    """Most utterances of a dialogue."""
    return max(int(part.lengths.max()) for part in parts)


def empty_slots() -> dict[str, float]:
    """Count how much of the grid of dialogues and slots is empty."""
    train, test = dialogues()
    filled = len(train.emotions) + len(test.emotions)
    total = (len(train.lengths) + len(test.lengths)) * longest(train, test)
    return {"empty slots": 100 * (1 - filled / total)}


def run_share(config: HuangIemocapConfig, name: str, share: float, seed: int) -> dict[str, float]:
    """Train on a random share of the utterances; on all of them, also measure the latent features."""
    train, test = (utterances(part, SETS[name]) for part in dialogues())
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(train.emotions), generator=generator)
    seen = train.at(order[: max(1, round(share * len(order)))])
    found = fit(seen, [test], config, seed)
    values = {f"{name}, share {share}": found.accuracies[-1][0]}
    if share == 1.0:
        values[f"{name}, latent"] = latent_risk(found.model, seen, test)
    return values


def run_slots(config: HuangIemocapConfig, name: str, seed: int) -> dict[str, float]:
    """Train and test on all slots, the empty ones being zeros of class 0."""
    parts = dialogues()
    train, test = (slots(part, SETS[name], longest(*parts)) for part in parts)
    return {f"{name}, slots": fit(train, [test], config, seed).accuracies[-1][0]}


def run_validated(config: HuangIemocapConfig, name: str, seed: int) -> dict[str, float]:
    """Choose the epoch on training dialogues that are not trained on, and test it once."""
    train, test = dialogues()
    order = torch.randperm(len(train.lengths), generator=torch.Generator().manual_seed(seed))
    held = order[: min(max(1, round(config.held_out * len(order))), len(order) - 1)]
    chooses = torch.isin(train.groups, held)
    every = utterances(train, SETS[name])
    scored = [every.at(chooses.nonzero().flatten()), utterances(test, SETS[name])]
    found = fit(every.at((~chooses).nonzero().flatten()), scored, config, seed)
    best = max(found.accuracies, key=lambda each: each[0])
    return {f"{name}, validated": best[1]}


def _series(name: str) -> tuple[Series, ...]:
    row = f"huang2021-iemocap-{name.lower()}"
    shares = (
        Series(
            f"{name}, share {share}",
            f"{name}: accuracy after the last epoch, trained on {share:.0%} of the utterances",
            row=row if share == 1.0 else None,
        )
        for share in SHARES
    )
    return (
        *shares,
        Series(f"{name}, validated", f"{name}: epoch chosen by a tenth of the training dialogues"),
        Series(f"{name}, slots", f"{name}: accuracy over all slots, the empty ones being of class 0"),
        Series(f"{name}, latent", f"{name}: error of a new linear head on the learnt features"),
    )


EXPERIMENT = Experiment(
    name="huang-iemocap",
    folder="huang_iemocap",
    title="Sets of modalities on IEMOCAP",
    paper="Huang et al. 2021, arXiv 2106.04538, Tables 1 to 3",
    unit="accuracy, percent, or what each series says, in percent",
    full=HuangIemocapConfig(),
    quick=HuangIemocapConfig(width=4, epochs=2, batch_size=16, seeds=1, held_out=0.25),
    tasks=tasks,
    hours="101 runs of a linear network, on data that must be got first; not timed yet",
    series=(
        *(series for name in SETS for series in _series(name)),
        Series("empty slots", "share of the slots of all dialogues that hold no utterance"),
    ),
)
