import json
import sys

import pytest
import torch

from bogc.data import DATASETS, MultimodalDataset, describe, load_dataset
from bogc.errors import ConfigError, TypeMismatchError

from .factories import make_dataset

FETCHED = {"mfeat", "mnist-halves", "emoji", "kipan"}


@pytest.fixture(params=DATASETS)
def registered(request):
    """Each entry with its data set; the fetched ones through the fixtures that skip without a network."""
    name = request.param
    fixture = name.replace("-", "_")
    dataset = request.getfixturevalue(fixture) if name in FETCHED else load_dataset(name)
    return name, DATASETS[name], dataset


def test_every_entry_tells_the_truth(registered):
    key, spec, dataset = registered
    assert key == spec.name == dataset.name
    assert spec.modalities == dataset.modalities
    assert spec.size == len(dataset)
    assert all([spec.summary, spec.source, spec.licence_note])


def test_every_entry_can_be_described(registered):
    _, _, dataset = registered
    summary = json.loads(json.dumps(describe(dataset)))
    assert sum(summary["classes"].values()) == summary["samples"] == len(dataset)


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("wacth", "Did you mean 'watch'?"),
        ("MFEAT", "Did you mean 'mfeat'?"),
        ("zebra", "Choose one of them."),
    ],
)
def test_an_unknown_name(name, remedy):
    with pytest.raises(ConfigError, match=r"must be one of emoji, kipan, .*, watch or 'package") as raised:
        load_dataset(name)
    assert raised.value.remedy == remedy


@pytest.fixture
def user_module(tmp_path, monkeypatch):
    """A module of the user's own on the path."""
    (tmp_path / "bogc_user_data.py").write_text(
        "import torch\n"
        "from bogc.data import MultimodalDataset\n"
        "def mine():\n"
        "    return MultimodalDataset.from_tensors({'a': torch.zeros(2, 1)}, torch.tensor([0, 1]), 'mine')\n"
        "def wrong():\n"
        "    return [1, 2]\n"
        "number = 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield
    sys.modules.pop("bogc_user_data", None)


@pytest.mark.usefixtures("user_module")
class TestReference:
    def test_loads_the_users_own(self):
        dataset = load_dataset("bogc_user_data:mine")
        assert isinstance(dataset, MultimodalDataset)
        assert dataset.name == "mine"

    def test_another_type(self):
        with pytest.raises(
            TypeMismatchError, match="bogc_user_data:wrong must return a MultimodalDataset; found list"
        ):
            load_dataset("bogc_user_data:wrong")

    def test_not_a_function(self):
        with pytest.raises(
            ConfigError, match="must lead to a function; found 'bogc_user_data:number', of type int"
        ):
            load_dataset("bogc_user_data:number")

    def test_no_such_function(self):
        with pytest.raises(ConfigError, match=r"must lead to a function; .*has no attribute 'absent'"):
            load_dataset("bogc_user_data:absent")

    def test_no_such_module(self):
        match = "No module named 'bogc_no_such'.* Make `from bogc_no_such import f` work"
        with pytest.raises(ConfigError, match=match):
            load_dataset("bogc_no_such:f")

    @pytest.mark.parametrize("reference", [":", "a:", ":b", ".a:b", "a:b:c", "a b:c", "a:b.c"])
    def test_malformed(self, reference):
        with pytest.raises(ConfigError, match="must read 'package"):
            load_dataset(reference)


def test_description_in_plain_numbers():
    inputs = {"audio": torch.tensor([[1.0, 3.0], [5.0, 7.0]])}
    groups = torch.tensor([9, -1])
    dataset = MultimodalDataset.from_tensors(inputs, torch.tensor([1, 1]), "pair", ("no", "yes"), groups)
    assert describe(dataset) == {
        "name": "pair",
        "samples": 2,
        "classes": {"no": 0, "yes": 2},
        "groups": {"-1": 1, "9": 1},
        "modalities": {"audio": {"shape": [2], "mean": 4.0, "std": 5**0.5, "min": 1.0, "max": 7.0}},
    }


def test_description_without_groups():
    assert describe(make_dataset())["groups"] is None
