"""Sound files in the WAV format: read, mixed to one channel, resampled."""

import math
import struct
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.io import wavfile
from scipy.signal import resample_poly

from bogc.checks import check_number
from bogc.errors import DataError

Wave: TypeAlias = NDArray[np.float32]

# what scipy raises on files that are cut short or are something else
_DAMAGE = (OSError, ValueError, EOFError, UnboundLocalError, ZeroDivisionError, struct.error)


def read_wave(path: Path, rate: int) -> Wave:
    """Read a sound at ``rate`` samples a second.

    Args:
        path: A WAV file of integers or floats, with any number of channels.
        rate: In Hz; a file at another rate is resampled.

    Returns:
        float32 [samples]: the mean of the channels; integers are divided so that full scale is 1.

    Raises:
        DataError: The file is not there, not a WAV file, empty, or holds NaN or infinity.
    """
    try:
        found, samples = wavfile.read(path)
    except _DAMAGE as error:
        raise DataError(str(path), "must be a WAV file", error, "Extract it again.") from error
    mono = _full_scale(samples).mean(axis=tuple(range(1, samples.ndim)))
    if len(mono) == 0 or not np.isfinite(mono).all():
        found_text = "no sample" if len(mono) == 0 else "NaN or infinity"
        raise DataError(str(path), "must hold finite samples", found_text, "Extract it again.")
    return resampled(mono.astype(np.float32), found, rate)


def resampled(wave: Wave, found: int, wanted: int) -> Wave:
    """Change the rate by a polyphase filter (Kaiser window, scipy's default).

    Args:
        wave: [samples].
        found: Its rate in Hz.
        wanted: The new one.

    Returns:
        float32 [ceil(samples * wanted / found)].

    Raises:
        RangeError: A rate is not positive.
    """
    for name, rate in {"found": found, "wanted": wanted}.items():
        check_number(name, rate, rate >= 1, "must be at least 1 Hz", "Give a rate in Hz.")
    if found == wanted:
        return wave
    shared = math.gcd(found, wanted)
    changed: Wave = resample_poly(wave.astype(np.float64), wanted // shared, found // shared).astype(
        np.float32
    )
    return changed


def repeated(wave: Wave, length: int) -> Wave:
    """Repeat ``wave``, of at least one sample, until it fills ``length`` samples, and cut it there."""
    return np.tile(wave, -(-length // len(wave)))[:length]


def _full_scale(samples: NDArray[Any]) -> NDArray[np.float64]:
    if samples.dtype == np.uint8:  # the one unsigned format, whose silence is 128
        return (samples.astype(np.float64) - 128) / 128
    if np.issubdtype(samples.dtype, np.signedinteger):
        return samples.astype(np.float64) / -float(np.iinfo(samples.dtype).min)
    return samples.astype(np.float64)
