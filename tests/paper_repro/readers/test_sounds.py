from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import wavfile

from bogc.errors import DataError, RangeError
from paper_repro.readers.sounds import FLOOR, log_spectrogram, read_wave, repeated, resampled

from .made import write_wave

SAMPLES = np.array([-1.0, -0.5, 0.0, 0.25, 0.5])


@pytest.mark.parametrize(
    "stored",
    [
        (SAMPLES * 128 + 128).astype(np.uint8),
        (SAMPLES * 2**15).astype(np.int16),
        (SAMPLES * 2**31).astype(np.int32),
        SAMPLES.astype(np.float32),
        SAMPLES.astype(np.float64),
    ],
    ids=["uint8", "int16", "int32", "float32", "float64"],
)
def test_full_scale_is_one_in_every_format(tmp_path: Path, stored: np.ndarray):
    wavfile.write(tmp_path / "a.wav", 8000, stored)
    wave = read_wave(tmp_path / "a.wav", 8000)
    assert wave.dtype == np.float32
    np.testing.assert_array_equal(wave, SAMPLES)


def test_channels_are_averaged(tmp_path: Path):
    wavfile.write(tmp_path / "a.wav", 8000, np.stack([SAMPLES, 0 * SAMPLES], axis=1).astype(np.float32))
    np.testing.assert_allclose(read_wave(tmp_path / "a.wav", 8000), SAMPLES / 2)


@given(st.integers(1, 400), st.sampled_from([8000, 16_000, 22_050]), st.sampled_from([8000, 16_000, 22_050]))
def test_resampling_keeps_the_duration_and_the_same_rate_keeps_the_sound(
    length: int, found: int, wanted: int
):
    wave = np.random.RandomState(length).standard_normal(length).astype(np.float32)
    changed = resampled(wave, found, wanted)
    assert len(changed) == -(-length * wanted // found)
    if found == wanted:
        np.testing.assert_array_equal(changed, wave)


def test_a_tone_stays_the_same_tone(tmp_path: Path):
    wave = read_wave(write_wave(tmp_path / "a.wav", 0.5, 16_000, 440.0), 22_050)
    time = np.arange(len(wave)) / 22_050
    tone = 16_000 / 2**15 * np.sin(2 * np.pi * 440.0 * time)
    middle = slice(500, -500)  # the filter needs both sides
    np.testing.assert_allclose(wave[middle], tone[middle], atol=2e-3)


@given(st.integers(1, 50), st.integers(0, 200))
def test_repeats_until_the_length_is_filled(length: int, wanted: int):
    wave = np.arange(length, dtype=np.float32)
    expected = np.array([i % length for i in range(wanted)], dtype=np.float32)
    np.testing.assert_array_equal(repeated(wave, wanted), expected)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"not a wave file", b"RIFF\0\0\0\0WAVEdata\4\0\0\0"])
def test_other_files_are_refused(tmp_path: Path, content: bytes):
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.wav must be a WAV file"):
        read_wave(tmp_path / "a.wav", 8000)


def test_a_missing_file_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"a\.wav must be a WAV file; found .*No such file"):
        read_wave(tmp_path / "a.wav", 8000)


@pytest.mark.parametrize(
    ("samples", "found"), [([], "no sample"), ([0.0, np.nan], "NaN"), ([np.inf], "infin")]
)
def test_an_empty_or_broken_sound_is_refused(tmp_path: Path, samples: list[float], found: str):
    wavfile.write(tmp_path / "a.wav", 8000, np.array(samples, dtype=np.float32))
    with pytest.raises(DataError, match=rf"a\.wav must hold finite samples; found .*{found}"):
        read_wave(tmp_path / "a.wav", 8000)


def test_a_rate_must_be_positive():
    with pytest.raises(RangeError, match="wanted must be at least 1 Hz; found 0"):
        resampled(np.zeros(3, dtype=np.float32), 8000, 0)


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
