import pytest

from bogc.belief import EVIDENCE_MAPS, FRAMES
from bogc.combination import RULES
from bogc.errors import ConfigError
from bogc.gradients import ESTIMATORS
from bogc.posterior import PRIORS, ROUTES
from bogc.registry import Registry

EVERY = {
    "estimator": ESTIMATORS, "prior": PRIORS, "posterior": ROUTES, "evidence": EVIDENCE_MAPS, "frame": FRAMES,
    "combination": RULES,
}  # fmt: skip


def made() -> Registry[object]:
    registry: Registry[object] = Registry("colour")
    registry.register("red")(1)
    registry.register("blue")(2)
    return registry


def test_a_registry_is_a_mapping_in_order_of_registration():
    registry = made()
    assert dict(registry) == {"red": 1, "blue": 2}
    assert (list(registry), len(registry), registry["blue"], registry.get("green")) == (
        ["red", "blue"],
        2,
        2,
        None,
    )
    assert "red" in registry
    assert "green" not in registry


def test_the_decorator_leaves_the_choice_as_it_is():
    registry: Registry[type] = Registry("colour")

    @registry.register("red")
    class Red:
        """A colour."""

    assert registry["red"] is Red
    assert registry.name_of(Red) == "red"
    assert Red.__name__ == "Red"


def test_a_choice_may_be_registered_again_and_no_other_under_its_name():
    registry = made()
    one = registry["red"]
    registry.register("red")(one)
    message = r"colour 'red' must be new; found 1\. Choose another name, or withdraw\(\) that choice first"
    with pytest.raises(ConfigError, match=message):
        registry.register("red")(3)
    assert registry["red"] == 1


def test_a_withdrawn_choice_is_gone_and_its_name_is_free():
    registry = made()
    registry.withdraw("red")
    assert list(registry) == ["blue"]
    registry.register("red")(3)
    assert dict(registry) == {"blue": 2, "red": 3}


def test_what_is_not_registered_is_refused_with_the_names_that_are():
    registry = made()
    assert registry.choose("blue") == 2
    with pytest.raises(ConfigError, match=r"colour must be one of red, blue; found 'green'\. Choose one of"):
        registry.choose("green")
    for forget in (registry.withdraw, registry.name_of):
        with pytest.raises(ConfigError, match=r"colour must be one of red, blue; found 'green'"):
            forget("green")


@pytest.mark.parametrize("kind", EVERY)
def test_every_registry_calls_its_choices_what_the_settings_call_them(kind):
    registry = EVERY[kind]
    with pytest.raises(ConfigError, match=rf"^{kind} must be one of {', '.join(registry)}; found 'nothing'"):
        registry.choose("nothing")
    for name, choice in registry.items():
        assert registry.name_of(choice) == name
