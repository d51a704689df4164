import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bogc.data.folders.spectrogram import FLOOR, log_spectrogram
from bogc.errors import RangeError


def oracle(wave: np.ndarray, window: int, hop: int) -> np.ndarray:
    """Frame by frame, frequency by frequency."""
    half = window // 2
    n = np.arange(window)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * n / window)
    clipped = np.clip(wave.astype(np.float64), -1, 1)
    padded = np.concatenate([clipped[1 : half + 1][::-1], clipped, clipped[-half - 1 : -1][::-1]])
    frames = [padded[start : start + window] * hann for start in range(0, len(wave) + 1, hop)]
    waves = np.exp(-2j * np.pi * np.outer(np.arange(half + 1), n) / window)
    return np.log(np.abs(np.stack([waves @ frame for frame in frames], axis=1)) + FLOOR)


@settings(max_examples=25)
@given(st.sampled_from([2, 8, 32]), st.integers(1, 20), st.integers(33, 120), st.integers(0, 2**32 - 1))
def test_is_the_centred_reflected_hann_transform(window: int, hop: int, length: int, seed: int):
    wave = np.random.RandomState(seed).standard_normal(length).astype(np.float32)
    found = log_spectrogram(wave, window, hop)
    assert found.dtype == torch.float32
    assert found.shape == (1, window // 2 + 1, 1 + length // hop)
    # a magnitude of float32 has an absolute error of about 1e-6; compare it rather than its logarithm
    np.testing.assert_allclose(found[0].double().exp(), np.exp(oracle(wave, window, hop)), atol=2e-5)


def test_silence_is_the_floor():
    found = log_spectrogram(np.zeros(1000, dtype=np.float32), 512, 353)
    np.testing.assert_allclose(found, np.log(FLOOR), rtol=1e-6)


def test_three_seconds_give_the_shape_of_the_paper():
    wave = np.random.RandomState(0).standard_normal(3 * 22_050).astype(np.float32)
    assert log_spectrogram(wave, 512, 353).shape == (1, 257, 188)


def test_a_tone_peaks_at_its_frequency():
    tone = np.sin(2 * np.pi * 1000.0 * np.arange(8000) / 8000).astype(np.float32)
    peaks = log_spectrogram(tone, 256, 128)[0].argmax(0)
    assert set(peaks[1:-1].tolist()) == {32}  # 1000 Hz of 31.25 Hz each


@pytest.mark.parametrize(
    ("length", "window", "hop", "match"),
    [
        (4, 8, 2, "wave must have more than 4 samples; found 4"),
        (40, 7, 2, "window must be even, at least 2; found 7"),
        (40, 8, 0, "hop must be at least 1; found 0"),
    ],
)
def test_what_cannot_be_transformed_is_refused(length: int, window: int, hop: int, match: str):
    with pytest.raises(RangeError, match=match):
        log_spectrogram(np.zeros(length, dtype=np.float32), window, hop)
