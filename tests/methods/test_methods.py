import math
from dataclasses import fields

import pytest
import torch
from torch import nn

from bogc.errors import ConfigError, RangeError
from bogc.gradients import ModalityPartition
from bogc.methods import BOGC, CGGM, JointTraining, UnimodalSum
from bogc.methods.registry import CLASSIFIER, EXPERTS, METHODS, TABLES, Job, MethodSpec, build_balancer
from bogc.methods.search import Choice, LogUniform, Uniform
from bogc.models import FUSIONS, MultimodalClassifier, ProductOfExperts
from bogc.training import TrainConfig
from tests.networks import PlainNetwork

IMAGES = {"left": torch.zeros(1, 4, 4), "right": torch.zeros(2, 4, 4)}
KINDS = {CLASSIFIER: MultimodalClassifier, EXPERTS: ProductOfExperts}
HEADS = ["ogm-ge", "ogm-ge-released", "cggm", "cggm-released"]


@pytest.mark.parametrize("spec", METHODS.values(), ids=METHODS)
def test_every_method_is_described(spec: MethodSpec):
    for name in ("summary", "paper", "needs", "passes"):
        assert getattr(spec, name).strip()
        assert "\n" not in getattr(spec, name)
    assert spec.model in KINDS
    assert spec.table == "" or spec.table in TABLES


def test_every_table_is_used_and_is_a_field_of_the_configuration():
    assert {spec.table for spec in METHODS.values()} - {""} == set(TABLES)
    for method, spec in METHODS.items():
        assert type(TrainConfig(method=method).method_settings) is TABLES.get(spec.table, type(None))


@pytest.mark.parametrize("table", TABLES)
def test_every_setting_has_a_help_text_and_at_most_one_range_that_holds_its_default(table: str):
    for field in fields(TABLES[table]):
        assert field.metadata["help"]
        match field.metadata["search"]:
            case Choice(options):
                assert field.default in options
            case Uniform(low, high) | LogUniform(low, high):
                assert low <= field.default <= high
            case other:
                assert other is None


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_built_with_its_default_settings(method: str, fusion: str):
    spec = METHODS[method]
    model = KINDS[spec.model].for_samples(IMAGES, 3, 4, FUSIONS[fusion])
    own = TrainConfig(method=method).method_settings
    assert type(own) is (TABLES[spec.table] if spec.table else type(None))
    if method == "ogm-ge-released" and fusion not in ("concat", "sum"):
        with pytest.raises(ConfigError, match=r"fusion must be concat or sum, as the released code crashes"):
            build_balancer(method, model, own, 10)
        return
    balancer = build_balancer(method, model, own, 10)
    covered = {id(parameter) for parameter in balancer.partition.parameters}
    assert covered == {id(parameter) for parameter in model.parameters()}


def test_methods_without_settings_and_bogc_are_built_for_any_network_with_a_partition():
    for name, kind in {"joint": JointTraining, "sum": UnimodalSum, "bogc": BOGC}.items():
        table = METHODS[name].table
        own = TABLES[table]() if table else None
        assert type(build_balancer(name, PlainNetwork(), own, 10)) is kind


@pytest.mark.parametrize("method", HEADS)
def test_methods_that_look_at_the_head_refuse_a_network_without_one(method: str):
    with pytest.raises(ConfigError, match=r"model must be a MultimodalClassifier; found PlainNetwork"):
        build_balancer(method, PlainNetwork(), TABLES[METHODS[method].table](), 10)


def test_an_unknown_method_is_refused():
    with pytest.raises(ConfigError, match=r"method must be one of joint, .*, bogc-laplace; found 'best'"):
        build_balancer("best", PlainNetwork(), None, 10)


def test_i2m2_learns_the_number_of_steps():
    model = ProductOfExperts.for_samples(IMAGES, 3, 4)
    own = TABLES["i2m2"](apart=0.25)
    assert build_balancer("i2m2", model, own, 40).apart == 10


def test_cggm_gets_a_classifier_a_modality_that_is_no_part_of_the_network():
    model = MultimodalClassifier.for_samples(IMAGES, 3, 4)
    balancer = build_balancer("cggm", model, TABLES["cggm"](classifier_lr=0.3), 10)
    assert isinstance(balancer, CGGM)
    shapes = {m: tuple(linear.weight.shape) for m, linear in balancer.classifiers.items()}
    assert shapes == {"left": (3, 4), "right": (3, 4)}
    own = {id(parameter) for parameter in balancer.classifiers.parameters()}
    assert not own & {id(parameter) for parameter in model.parameters()}
    assert {id(p) for group in balancer.optimiser.param_groups for p in group["params"]} == own
    assert balancer.optimiser.param_groups[0]["lr"] == 0.3


def test_a_job_takes_anything_with_a_partition():
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 1)

        def partition(self) -> ModalityPartition:
            return ModalityPartition({"image": self.layer}, model=self)

    assert METHODS["sum"].build(Job(Own(), None, 1)).partition.modalities == ("image",)


@pytest.mark.parametrize("method", ["cggm", "cggm-released"])
@pytest.mark.parametrize("rate", [-1.0, 0.0, math.nan, math.inf])
def test_the_classifiers_learning_rate_is_a_positive_number(method: str, rate: float):
    model = MultimodalClassifier.for_samples(IMAGES, 3, 4)
    with pytest.raises(RangeError, match=r"classifier_lr must be positive and finite; found"):
        build_balancer(method, model, TABLES["cggm"](classifier_lr=rate), 10)
