from dataclasses import dataclass, fields

import pytest

from bogc.balancing.fields import choose, setting
from bogc.balancing.search import Uniform
from bogc.errors import ConfigError


@dataclass(frozen=True)
class Example:
    plain: int = setting(3, "a number")
    tuned: float = setting(0.5, "a share", Uniform(0.0, 1.0))


def test_a_setting_is_a_field_with_default_help_text_and_range():
    assert Example() == Example(plain=3, tuned=0.5)
    plain, tuned = fields(Example)
    assert (plain.metadata["help"], plain.metadata["search"]) == ("a number", None)
    assert (tuned.metadata["help"], tuned.metadata["search"]) == ("a share", Uniform(0.0, 1.0))


def test_choose_looks_up_a_name():
    assert choose("colour", "red", {"red": 1, "blue": 2}) == 1


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"colour must be one of red, blue; found 'green'\. Choose one"):
        choose("colour", "green", {"red": 1, "blue": 2})
