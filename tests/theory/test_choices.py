import pytest

from bogc.calibration import WEIGHTS
from bogc.methods import READINGS
from theory.choices import PAGE, REGISTRIES, taken, written

TEXT = PAGE.read_text(encoding="utf-8")


def test_chapter_0_and_the_registries_agree():
    assert written(TEXT) == TEXT, "run python -m theory --write"


def test_every_name_is_in_the_text_and_every_reading_is_pointed_to():
    for registry in REGISTRIES.values():
        assert all(f"| `{name}` |" in TEXT for name in registry)
    for reading in READINGS:
        assert all(taken(reading)[field] in registry for field, registry in REGISTRIES.items())
        assert f"](../docs/readings.md#{reading}" in TEXT


def test_a_new_choice_changes_the_text():
    class Mine:
        """Weights of my own, a < b | c.

        More of it.
        """

    WEIGHTS.register("mine")(Mine)  # type: ignore[type-var]
    try:
        assert r"| | `mine` | | Weights of my own, a \< b \| c. |" in written(TEXT)
    finally:
        WEIGHTS.withdraw("mine")


def test_a_text_without_markers_is_refused():
    with pytest.raises(ValueError, match="no <!-- choices -->"):
        written("nothing")
