import pytest

from bogc.data.registry import DATASETS
from bogc.errors import RangeError
from paper_repro.bogc_mml.config import SYNTHETIC, TASKS, Design, Task


def test_every_task_names_a_registered_data_set_and_one_of_its_modalities():
    for task in (*TASKS, SYNTHETIC):
        assert task.noisy in DATASETS[task.dataset].modalities


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Design((), 1, (0.1,)), "tasks must name at least one; found 0"),
        (lambda: Design(TASKS, 6, (0.1,)), r"folds must lie in 1 .. 5; found 6"),
        (lambda: Design(TASKS, 1, ()), "rates must name at least one; found 0"),
        (lambda: Design(TASKS, 1, (0.0,)), "rates must be positive; found 0.0"),
    ],
)
def test_impossible_settings_are_refused(make, message):
    with pytest.raises(RangeError, match=message):
        make()


def test_a_task_is_a_plain_record():
    assert Task("synthetic", 1, "strong").epochs == 1
