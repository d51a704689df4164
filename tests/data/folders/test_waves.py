from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import wavfile

from bogc.data.folders.waves import read_wave, repeated, resampled
from bogc.errors import DataError, RangeError

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
