"""Multi-modal data sets: in memory, split by group, standardised, fetched once and checked by hash."""

from bogc.data.dataset import MultimodalBatch, MultimodalDataset
from bogc.data.fetch import Archive, Downloader, default_cache_dir, fetch, pip_download, sha256
from bogc.data.items import Items
from bogc.data.mfeat import load_mfeat
from bogc.data.registry import (
    DATASETS,
    DatasetSpec,
    DatasetSummary,
    ModalitySummary,
    describe,
    load_dataset,
)
from bogc.data.splits import Split, group_folds, make_split, stratified_folds
from bogc.data.standardise import Standardiser
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
    "default_cache_dir",
    "describe",
    "fetch",
    "group_folds",
    "load_dataset",
    "load_mfeat",
    "load_watch",
    "make_split",
    "pip_download",
    "sha256",
    "stratified_folds",
]
