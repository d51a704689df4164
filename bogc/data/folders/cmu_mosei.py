"""CMU-MOSEI: how positive a speaker's words are, from text, voice and face (in the layout of MultiBench).

The environment variable ``BOGC_CMU_MOSEI`` names a folder that holds ``mosei_senti_data.pkl``, the file of
that name for MultiBench (pliang279/MultiBench at 49f9be2, ``examples/affect``), in the layout of
``bogc.data.folders.opinions``; labels go from -3, most negative, to 3. MultiBench drops utterances whose text
is all zeros; so does the reader. It also cuts leading frames without text from each utterance, which the
reader does not. BalanceBenchmark's own preparation of CMU-MOSEI was not read.
"""

from pathlib import Path
from typing import Final

from bogc.data.dataset import MultimodalDataset
from bogc.data.folders.location import folder_named_by
from bogc.data.folders.opinions import Opinions, read_opinions, two_classes

FOLDER: Final = "BOGC_CMU_MOSEI"
"""Environment variable with the path of the folder."""
FILE: Final = "mosei_senti_data.pkl"
CLASSES: Final = ("not positive", "positive")


def load_cmu_mosei() -> MultimodalDataset:
    """Load all parts, one after the other, for ``--dataset bogc.data.folders.cmu_mosei:load_cmu_mosei``.

    A score above 0 is positive, 0 is not, as in MultiBench. There are no groups.

    Returns:
        ``text``, ``audio`` and ``vision``, each float32 [n, features, time].

    Raises:
        ConfigError: ``BOGC_CMU_MOSEI`` does not name a folder.
        DataError: The file is not as described.
    """
    return two_classes("cmu-mosei", read_cmu_mosei(folder_named_by(FOLDER) / FILE), 0.0, CLASSES)


def read_cmu_mosei(path: Path) -> dict[str, Opinions]:
    """Read the pickle without utterances whose text is all zeros; see ``read_opinions``."""
    return {part: spoken(opinions) for part, opinions in read_opinions(path).items()}


def spoken(opinions: Opinions) -> Opinions:
    """Drop the utterances whose text is all zeros."""
    kept = (opinions.inputs["text"] != 0).flatten(1).any(dim=1)
    return Opinions({m: values[kept] for m, values in opinions.inputs.items()}, opinions.scores[kept])
