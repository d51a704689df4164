import socket

import pytest

from bogc.errors import ConfigError, ProcessError
from bogc.gradients import Alone, current_team
from bogc.training.launch import check_batch, launched

VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch: pytest.MonkeyPatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    "environment", [{}, {"WORLD_SIZE": "4"}, {"RANK": "0", "WORLD_SIZE": "1"}, {"RANK": "0"}]
)
def test_without_a_launcher_there_is_one_process(environment: dict, monkeypatch: pytest.MonkeyPatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with launched(5) as team:
        assert isinstance(team, Alone)
        assert isinstance(current_team(), Alone)


def test_others_that_do_not_come_are_missed(monkeypatch: pytest.MonkeyPatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    for name, value in zip(VARIABLES, ("0", "2", "127.0.0.1", str(port)), strict=True):
        monkeypatch.setenv(name, value)
    with pytest.raises(ProcessError, match="process group must reach every process"), launched(2):
        pass


class Three(Alone):
    size = 3


def test_every_process_needs_a_sample():
    check_batch(3, Three())
    message = "batch_size must have a sample for each of 3 processes; found 2. Use larger batches or fewer"
    with pytest.raises(ConfigError, match=message):
        check_batch(2, Three())
