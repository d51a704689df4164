"""UR-FUNNY: whether the next sentence of a talk is a joke, from text, voice and face (as MultiBench has it).

The environment variable ``BOGC_UR_FUNNY`` names a folder that holds ``humor.pkl``, the file of that name for
MultiBench (pliang279/MultiBench at 49f9be2, ``datasets/affect/get_data.py``), in the layout of
``bogc.data.folders.opinions``; its code takes a label below 1 as no joke. Utterances whose text is all zeros
are dropped, as there. Which features the paper of MIMO used is not known to us.
"""

from pathlib import Path
from typing import Final

from bogc.data.dataset import MultimodalDataset
from bogc.data.folders.cmu_mosei import spoken
from bogc.data.folders.location import folder_named_by
from bogc.data.folders.opinions import Opinions, read_opinions, two_classes
from bogc.errors import DataError

FOLDER: Final = "BOGC_UR_FUNNY"
"""Environment variable with the path of the folder."""
FILE: Final = "humor.pkl"
CLASSES: Final = ("no joke", "joke")


def load_ur_funny() -> MultimodalDataset:
    """Load all parts, one after the other, for ``--dataset bogc.data.folders.ur_funny:load_ur_funny``.

    There are no groups: bogc's own folds may have one talk on both sides.

    Returns:
        ``text``, ``audio`` and ``vision``, each float32 [n, features, time].

    Raises:
        ConfigError: ``BOGC_UR_FUNNY`` does not name a folder.
        DataError: The file is not as described.
    """
    return two_classes("ur-funny", read_ur_funny(folder_named_by(FOLDER) / FILE), 0.5, CLASSES)


def read_ur_funny(path: Path) -> dict[str, Opinions]:
    """Read the pickle without utterances whose text is all zeros; see ``read_opinions``.

    Returns:
        "train", "valid" and "test"; a score is 1 for a joke and 0, or -1, for none.

    Raises:
        DataError: As ``read_opinions``, and if a label is another number.
    """
    parts = {part: spoken(opinions) for part, opinions in read_opinions(path).items()}
    for part, opinions in parts.items():
        other = sorted({float(s) for s in opinions.scores} - {-1.0, 0.0, 1.0})
        if other:
            remedy = "See the documentation of bogc.data.folders.ur_funny."
            raise DataError(
                f"{path}, {part}, labels", "must be 1 for a joke, else 0 or -1", other[:3], remedy
            )
    return parts
