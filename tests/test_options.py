import inspect
from dataclasses import dataclass, fields, replace
from pathlib import Path

import pytest
from rich.text import Text

from bogc.belief import FRAMES
from bogc.errors import ConfigError
from bogc.methods import METHODS, TABLES, setting
from bogc.methods.sums import MIMOSettings
from bogc.options import build, completion, with_config
from bogc.training import TrainConfig


def command(config: TrainConfig, out: Path = Path("x")) -> None:
    """Doc."""


PARAMETERS = inspect.signature(with_config(command)).parameters
FLAGS = {
    (table, f.name): f.name if table == "calibration" else f"{table}_{f.name}"
    for table, kind in TABLES.items()
    for f in fields(kind)
}
"""(table, setting) -> its flag: the table is the prefix, except for BOGC's own."""


def test_every_setting_has_a_flag_with_a_help_text():
    training = {f.name for f in fields(TrainConfig)} - {"settings"}
    assert set(PARAMETERS) == training | set(FLAGS.values()) | {"config", "out"}
    assert len(PARAMETERS) == len(training) + len(FLAGS) + 2  # no two settings have one flag
    for name in training | set(FLAGS.values()):
        assert PARAMETERS[name].annotation.__metadata__[0].help
        assert PARAMETERS[name].default is None


@pytest.mark.parametrize("table", TABLES)
def test_help_shows_a_tables_flags_under_the_methods_that_use_it(table: str):
    users = [name for name, spec in METHODS.items() if spec.table == table]
    panels = {
        PARAMETERS[flag].annotation.__metadata__[0].rich_help_panel
        for (t, _), flag in FLAGS.items()
        if t == table
    }
    expected = "Open choices of bogc" if table == "calibration" else f"Of {', '.join(users)}"
    assert panels == {expected}


@pytest.mark.parametrize(("table", "name"), FLAGS)
def test_a_flag_sets_its_setting_and_no_other(table: str, name: str):
    default = getattr(getattr(TrainConfig(), table), name)
    other = f"not {default}" if isinstance(default, str) else type(default)(default * 2 + 1)
    found = build(None, {FLAGS[table, name]: other})
    own = replace(getattr(TrainConfig(), table), **{name: other})
    expected = TrainConfig(settings={table: own})
    assert found == expected
    assert found != TrainConfig()


def test_settings_that_the_command_itself_takes_have_no_flag():
    def own(config: TrainConfig, method: str = "x") -> None:
        """Doc."""

    assert inspect.signature(with_config(own)).parameters["method"].default == "x"


def test_the_command_gets_one_configuration_from_file_and_flags(tmp_path: Path):
    seen = []
    path = tmp_path / "c.toml"
    path.write_text("[mimo]\nstrength = 3.0\n")

    def own(config: TrainConfig, out: Path = Path("x")) -> None:
        """Doc."""
        seen.append((config, out))

    with_config(own)(config=path, out=tmp_path, mimo_smoothing=0.5, lr=None)
    assert seen == [(TrainConfig(settings={"mimo": MIMOSettings(strength=3.0, smoothing=0.5)}), tmp_path)]


def test_flags_override_the_file(tmp_path: Path):
    path = tmp_path / "c.toml"
    path.write_text('lr = 0.5\nepochs = 7\n[calibration]\nframe = "reliability"\n')
    config = build(path, {"epochs": 9, "lr": None, "decay": 0.5})
    assert (config.lr, config.epochs, config.calibration.decay, config.calibration.frame) == (
        0.5,
        9,
        0.5,
        "reliability",
    )


def test_without_file_and_flags_it_is_the_default():
    assert build(None, {"lr": None}) == TrainConfig()


def test_two_settings_cannot_have_one_flag():
    @dataclass(frozen=True)
    class Clashing:
        every: int = setting(1, "of what")

    TABLES.register("log")(Clashing)
    try:
        with pytest.raises(ConfigError, match="table log must have flags of its own; found --log-every"):
            with_config(command)
    finally:
        TABLES.withdraw("log")


@pytest.mark.parametrize(
    ("flag", "typed", "offered"),
    [
        ("method", "bog", ["bogc", "bogc-laplace"]),
        ("frame", "", list(FRAMES)),
        ("optimiser", "a", ["adamw"]),
        ("fusion", "nothing", []),
    ],
)
def test_tab_completes_the_names_of_choices(flag: str, typed: str, offered: list[str]):
    complete = PARAMETERS[flag].annotation.__metadata__[0].autocompletion
    assert complete(typed) == offered


def test_tab_completes_the_last_name_of_a_list():
    assert completion(["sum", "bogc"])("sum,b") == ["sum,bogc"]


def test_brackets_in_a_help_text_are_shown():
    @dataclass(frozen=True)
    class Bracketed:
        package: str = setting("[none]", "needs bogc[peers]")

    TABLES.register("bracketed")(Bracketed)
    try:
        flag = inspect.signature(with_config(command)).parameters["bracketed_package"]
    finally:
        TABLES.withdraw("bracketed")
    shown = Text.from_markup(flag.annotation.__metadata__[0].help).plain
    assert shown == "needs bogc[peers] [default: [none]]"


def test_a_bad_flag_is_a_typed_error():
    with pytest.raises(ConfigError, match="method must be one of"):
        build(None, {"method": "nothing"})
