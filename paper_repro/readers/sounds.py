"""Sounds in the WAV format, and the spectrogram of the audio-visual papers."""

import math
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from jaxtyping import Float32
from numpy.typing import NDArray
from scipy.io import wavfile
from scipy.signal import resample_poly
from torch import Tensor

from bogc.checks import check_number
from bogc.errors import DataError

Wave: TypeAlias = NDArray[np.float32]

HIGHEST_RATE: Final = 768_000  # Hz; the filter that changes a rate is as long as the rates are high


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
    except Exception as error:  # scipy raises many on files that are cut short or are something else
        raise DataError(str(path), "must be a WAV file", error, "Extract it again.") from error
    if not 1 <= found <= HIGHEST_RATE:
        raise DataError(str(path), f"must have a rate of 1 to {HIGHEST_RATE} Hz", found, "Extract it again.")
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


FLOOR: Final = 1e-7
"""Added to the magnitude, so that silence has a logarithm."""


def log_spectrogram(wave: Wave, window: int, hop: int) -> Float32[Tensor, "1 frequencies frames"]:
    """Compute log(|STFT| + 1e-7), natural, of a sound that is first clipped to [-1, 1].

    Frames are centred on multiples of ``hop``, beyond the ends the sound is reflected, and the window is a
    periodic Hann window: the defaults of librosa before version 0.9, which fills with zeros since then
    (pytorch issue 72550).

    Args:
        wave: Samples [n], more than half a window.
        window: Samples of a frame, even.
        hop: Samples between frames.

    Returns:
        [1, window / 2 + 1, 1 + n // hop], with a channel axis.

    Raises:
        RangeError: The sound is too short, or window or hop is out of range.
    """
    check_number("window", window, window >= 2 and window % 2 == 0, "must be even, at least 2", "Use 512.")
    check_number("hop", hop, hop >= 1, "must be at least 1", "Use 353.")
    enough = f"must have more than {window // 2} samples"
    check_number("wave", len(wave), len(wave) > window // 2, enough, "Repeat it, or use a shorter window.")
    clipped = torch.from_numpy(wave).clamp(-1, 1)
    hann = torch.hann_window(window, periodic=True, dtype=torch.float32)
    transform = torch.stft(
        clipped, window, hop, window=hann, center=True, pad_mode="reflect", return_complex=True
    )
    return (transform.abs() + FLOOR).log().unsqueeze(0)
