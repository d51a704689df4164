"""The network of a configuration."""

from bogc.methods.methods import EXPERTS, METHODS
from bogc.data import MultimodalDataset
from bogc.models import FUSIONS, MultimodalClassifier, ProductOfExperts
from bogc.training.config import TrainConfig

Network = MultimodalClassifier | ProductOfExperts


def build_network(config: TrainConfig, dataset: MultimodalDataset) -> Network:
    """Initialise from the global generator the kind of network that the method trains, on the data's device.

    Every method gets the same encoders and the same fusion head; a product of experts has a set of encoders
    more, that of its joint expert.
    """
    samples = {modality: value[0] for modality, value in dataset.inputs.items()}
    kind = ProductOfExperts if METHODS[config.method].model == EXPERTS else MultimodalClassifier
    model = kind.for_samples(samples, dataset.n_classes, config.features, FUSIONS[config.fusion])
    model.to(dataset.targets.device)
    return model
