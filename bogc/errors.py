"""The errors that bogc raises: each says which parameter, which rule, what was found and what to do."""


class BogcError(Exception):
    """Base of every error raised on purpose.

    Args:
        parameter: The argument, field, file or option that broke the rule.
        rule: What must hold.
        found: What was there instead.
        remedy: What to do next.
    """

    def __init__(self, parameter: str, rule: str, found: object, remedy: str) -> None:
        super().__init__(parameter, rule, found, remedy)
        self.parameter = parameter
        self.rule = rule
        self.found = found
        self.remedy = remedy

    def __reduce__(self) -> tuple[type["BogcError"], tuple[str, str, object, str]]:
        return type(self), (self.parameter, self.rule, self.found, self.remedy)  # OSError would keep two

    def __str__(self) -> str:
        return f"{self.parameter} {self.rule}; found {self.found}. {self.remedy}"


class TypeMismatchError(BogcError, TypeError):
    """An object of another type was passed, for example an Evidence where an Opinion is due."""


class ShapeError(BogcError, ValueError):
    """Axes do not fit together."""


class DtypeError(BogcError, TypeError):
    """A tensor has the wrong dtype, or dtypes are mixed."""


class DeviceError(BogcError, ValueError):
    """Tensors live on different devices, or the device asked for is not there."""


class NonFiniteError(BogcError, ValueError):
    """A value is NaN or infinite."""


class RangeError(BogcError, ValueError):
    """A number lies outside the range in which the mathematics is defined."""


class NegativeEvidenceError(RangeError):
    """Evidence counts observations; it cannot be negative."""


class MassSumError(RangeError):
    """Belief masses, or beliefs and uncertainty, do not sum to 1."""


class ZeroVarianceError(RangeError):
    """A variance is zero or negative, so its precision does not exist."""


class TotalConflictError(BogcError, ValueError):
    """The sources share no possible hypothesis, so Dempster's rule is undefined."""


class FrameError(BogcError, ValueError):
    """A frame of discernment needs at least two hypotheses."""


class TooFewSamplesError(BogcError, ValueError):
    """A variance needs at least two observations."""


class PartitionError(BogcError, ValueError):
    """The modalities do not partition the parameters."""


class LossError(BogcError, ValueError):
    """The losses given to ``backward`` are not one per-sample vector a source."""


class StateError(BogcError, ValueError):
    """A state_dict does not belong to this object."""


class ConfigError(BogcError, ValueError):
    """A setting is unknown or contradicts another."""


class UnsuitableError(ConfigError):
    """A method cannot be used: the network, or an optional package, lacks what it needs."""


class DataError(BogcError, ValueError):
    """A data set does not have the promised content."""


class FetchError(BogcError, OSError):
    """An archive could not be fetched, or is not the pinned one."""


class CheckpointError(BogcError, OSError):
    """A checkpoint is missing, truncated or of another run."""


class StorageError(BogcError, OSError):
    """A file of a run cannot be written or read: a full disk, a folder that is gone, damaged content."""


class LockedError(BogcError, OSError):
    """Another process is at work in the run folder."""


class StoppedError(BogcError, RuntimeError):
    """A run was asked to stop by a signal, named in ``found``, and has saved where it is."""


class ProcessError(BogcError, ConnectionError):
    """Another process of the group failed, or cannot be reached."""


class ClusterError(BogcError, OSError):
    """A cluster cannot be reached, or its workers lack what a run needs."""


class RunError(BogcError, RuntimeError):
    """A run among many ended in an error that is not one of these, or its process was killed."""


class UnreachedWarning(UserWarning):
    """Trainable parameters that no loss of a step reaches, and that are therefore not trained."""


class MomentumWarning(UserWarning):
    """An optimiser that averages gradients over steps, which the method has done already."""


class EnvironmentWarning(UserWarning):
    """A run goes on with other versions, another device or another number of threads or processes."""
