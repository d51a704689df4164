"""Small folders in every layout that is read, and what reads all of each."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from paper_repro.readers.av_mnist import read_av_mnist
from paper_repro.readers.ave import read_ave
from paper_repro.readers.brats import patient, read_brats
from paper_repro.readers.crema_d import read_crema_d
from paper_repro.readers.food101 import read_food101_titles, read_food101_tokens
from paper_repro.readers.iemocap import read_iemocap
from paper_repro.readers.iemocap_dialogues import FILE, read_iemocap_dialogues
from paper_repro.readers.kinetics_sounds import read_kinetics_sounds
from paper_repro.readers.opinions import read_ur_funny
from paper_repro.readers.ucf101 import read_ucf101
from paper_repro.readers.vggsound import read_vggsound
from tests.paper_repro.readers import made
from tests.paper_repro.readers.dialogues import dialogues, write_dialogues
from tests.paper_repro.readers.digits import av_mnist, write_av_mnist
from tests.paper_repro.readers.features import iemocap, write_iemocap
from tests.paper_repro.readers.opinions import opinions, write_pickle
from tests.paper_repro.readers.test_food101 import write_titles, write_tokens
from tests.paper_repro.readers.volumes import write_brats, write_patients

SIDE = 8  # pixels


class Layout(NamedTuple):
    """How a folder is written, and read to the last file of the part that is read."""

    write: Callable[[Path], Any]
    read: Callable[[Path], Any]
    lists: tuple[str, ...] = ()


def every(read: Callable[..., Any], part: str, **settings: Any) -> Callable[[Path], list[Any]]:
    def all_of(folder: Path) -> list[Any]:
        found = read(folder, part, **settings)
        return [found[index] for index in range(len(found))]

    return all_of


def write_opinions(folder: Path) -> None:
    parts = opinions()
    for part in parts.values():
        part["labels"] = np.sign(part["labels"])
    write_pickle(folder / "humor.pkl", parts)


def write_h5(folder: Path) -> None:
    import h5py

    for name, arrays in iemocap().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if name.startswith("target"):
            for kind, values in arrays.items():
                np.save(folder / f"{name}_{kind}.npy", values)
        else:
            with h5py.File(folder / f"{name}.h5", "w") as file:
                for key, values in arrays.items():
                    file[key] = values


TWO = [("dog", "first"), ("cat", "second")]

LAYOUTS = {
    "crema-d": Layout(
        lambda folder: made.write_crema_d(folder, {"train": ["1001_IEO_HAP_LO", "1002_IEO_SAD_LO"]}),
        every(read_crema_d, "train", side=SIDE),
        ("train.csv",),
    ),
    "ave": Layout(
        lambda folder: made.write_ave(folder, {"train": TWO, "test": TWO}, shape=(5, 7)),
        every(read_ave, "train", side=SIDE),
        ("trainSet.txt", "testSet.txt"),
    ),
    "kinetics-sounds": Layout(
        lambda folder: made.write_kinetics_sounds(folder, {"train": [(0, "first"), (3, "second")]}, (5, 7)),
        every(read_kinetics_sounds, "train", side=SIDE),
        ("my_train.txt",),
    ),
    "ucf101": Layout(
        lambda folder: made.write_ucf101(folder, {"train": TWO}),
        every(read_ucf101, "train", side=SIDE),
        ("trainlist01.txt", "classInd.txt"),
    ),
    "vggsound": Layout(
        lambda folder: made.write_vggsound(
            folder, [("a", "1", "dog", "train"), ("b", "2", "cat", "train"), ("c", "3", "dog", "test"),
                     ("d", "4", "cat", "test")],
        ),
        every(read_vggsound, "train", side=SIDE),
        ("vggsound.csv",),
    ),
    "food101-tokens": Layout(
        write_tokens, every(read_food101_tokens, "train", side=SIDE), ("train.json", "vocab.txt")
    ),
    "food101-titles": Layout(
        lambda folder: (folder.mkdir(exist_ok=True), write_titles(folder)),
        every(read_food101_titles, "train", side=SIDE),
        ("texts/train_titles.csv", "vocab.txt"),
    ),
    "iemocap-npz": Layout(lambda folder: write_iemocap(folder, iemocap()), read_iemocap),
    "iemocap-h5": Layout(write_h5, read_iemocap),
    "iemocap-dialogues": Layout(
        lambda folder: write_dialogues(folder, dialogues()),
        lambda folder: read_iemocap_dialogues(folder / FILE),
    ),
    "ur-funny": Layout(write_opinions, lambda folder: read_ur_funny(folder / "humor.pkl")),
    "av-mnist": Layout(
        lambda folder: write_av_mnist(folder, av_mnist({"train": 3, "test": 2})), read_av_mnist
    ),
    "brats": Layout(lambda folder: write_brats(folder, {"train": 2}), every(read_brats, "train", side=SIDE)),
    "patients": Layout(
        lambda folder: write_patients(folder, 1), lambda folder: patient(next(folder.iterdir()))
    ),
}  # fmt: skip
