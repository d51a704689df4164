"""CMU-MOSI: how positive a speaker's words are, from text, voice and face (in the layout of CGGM's code).

The environment variable ``BOGC_CMU_MOSI`` names a folder that holds ``mosi_data.pkl``: the pickle of aligned
features that the released code of CGGM (zrguo/CGGM, arXiv 2411.01409) reads, in the layout of
``bogc.data.folders.opinions``; labels go from -3, most negative, to 3.
"""

from pathlib import Path
from typing import Final

from bogc.data.dataset import MultimodalDataset
from bogc.data.folders.location import folder_named_by
from bogc.data.folders.opinions import Opinions, read_opinions, two_classes

FOLDER: Final = "BOGC_CMU_MOSI"
"""Environment variable with the path of the folder."""
FILE: Final = "mosi_data.pkl"
CLASSES: Final = ("not positive", "positive")


def load_cmu_mosi() -> MultimodalDataset:
    """Load all parts, one after the other, for ``--dataset bogc.data.folders.cmu_mosi:load_cmu_mosi``.

    The classes are those of the accuracy in the released code: a score above 0 is positive, 0 is not. There
    are no groups: bogc's own folds have the same speakers on both sides, which the published parts do not.
    Use :func:`read_cmu_mosi` for these parts.

    Returns:
        ``text``, ``audio`` and ``vision``, each float32 [n, features, time].

    Raises:
        ConfigError: ``BOGC_CMU_MOSI`` does not name a folder.
        DataError: The file is not as described.
    """
    return two_classes("cmu-mosi", read_cmu_mosi(folder_named_by(FOLDER) / FILE), 0.0, CLASSES)


def read_cmu_mosi(path: Path) -> dict[str, Opinions]:
    """Read the pickle; see ``read_opinions``."""
    return read_opinions(path)
