"""Random search of settings, the same number of trials for every method."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, TypeAlias

import numpy as np

from bogc.methods.methods import METHODS
from bogc.methods.search import Distribution
from bogc.training.config import TrainConfig

Setting: TypeAlias = tuple[str, ...]
"""A field of TrainConfig, or one of its tables and a field of that table."""


def search_space(base: TrainConfig, method: str) -> dict[Setting, Distribution]:
    """What is searched for ``method``: the settings that all methods share, then the method's own."""
    space: dict[Setting, Distribution] = {(name,): found for name, found in _searched(base).items()}
    table = METHODS[method].table
    if table:
        space |= {(table, name): found for name, found in _searched(getattr(base, table)).items()}
    return space


def stratified(count: int, seed: int, column: int) -> list[float]:
    """One column of a Latin hypercube sample: a number in each of ``count`` equal parts of [0, 1), shuffled.

    Columns are independent, and each is a function of ``seed`` and its number alone: more columns leave
    those before them as they are.
    """
    # RandomState, because its stream never changes: an interrupted search goes on under every numpy.
    generator = np.random.RandomState([seed, column])
    sample = (generator.permutation(count) + generator.random_sample(count)) / count
    return [float(q) for q in np.minimum(sample, np.nextafter(1, 0))]


def trials(base: TrainConfig, method: str, fold: int, budget: int) -> list[TrainConfig]:
    """Configurations to be tried for ``method`` on ``fold``; the configured one alone if ``budget`` is 1.

    The sample is seeded by the fold only: trial i has the same learning rate for every method. With a
    greater budget than 1 the configured values of searched settings are not among the trials.
    """
    config = replace(base, method=method, fold=fold)
    if budget == 1:
        return [config]
    space = search_space(base, method)
    columns = {
        setting: [distribution.at(q) for q in stratified(budget, fold, column)]
        for column, (setting, distribution) in enumerate(space.items())
    }
    return [with_settings(config, {s: values[i] for s, values in columns.items()}) for i in range(budget)]


def with_settings(config: TrainConfig, values: Mapping[Setting, Any]) -> TrainConfig:
    """Copy ``config`` with some settings replaced."""
    own: dict[str, Any] = {}
    for (*tables, name), value in values.items():
        if tables:
            (table,) = tables
            own[table] = replace(own.get(table, getattr(config, table)), **{name: value})
        else:
            own[name] = value
    return replace(config, **own)


def settings_of(config: TrainConfig, space: Mapping[Setting, Distribution]) -> dict[str, Any]:
    """Values in ``config`` of what was searched, by dotted name."""
    found = {}
    for setting in space:
        value: Any = config
        for name in setting:
            value = getattr(value, name)
        found[".".join(setting)] = value
    return found


def _searched(table: Any) -> dict[str, Distribution]:
    found = {field.name: field.metadata.get("search") for field in fields(table)}
    return {name: distribution for name, distribution in found.items() if distribution is not None}
