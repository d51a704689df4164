"""The spectrogram of the audio-visual papers: log magnitudes of a short-time Fourier transform."""

from typing import Final

import torch
from jaxtyping import Float32
from torch import Tensor

from bogc.checks import check_number
from bogc.data.folders.waves import Wave

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
