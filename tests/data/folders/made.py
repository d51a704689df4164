"""Small sounds, pictures and folders, in the layouts of the papers' repositories."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import wavfile


def write_wave(path: Path, seconds: float = 1.2, rate: int = 16_000, frequency: float = 440.0) -> Path:
    """Write a tone of half scale, 16 bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(round(seconds * rate)) / rate
    wavfile.write(path, rate, (16_000 * np.sin(2 * np.pi * frequency * time)).astype(np.int16))
    return path


def write_picture(path: Path, level: int = 128, size: tuple[int, int] = (24, 18)) -> Path:
    """Write a picture of a ramp in red, and of ``level`` in green and blue."""
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = size
    pixels = np.full((height, width, 3), level, dtype=np.uint8)
    pixels[..., 0] = np.linspace(0, 255, width)
    Image.fromarray(pixels).save(path, quality=95)
    return path


def write_crema_d(folder: Path, parts: Mapping[str, list[str]], frames: int = 2) -> Path:
    """Write clips NAME such as 1001_IEO_HAP_LO; each emotion has its tone and its level."""
    emotions = ("NEU", "HAP", "SAD", "FEA", "DIS", "ANG")
    folder.mkdir(parents=True, exist_ok=True)
    for part, names in parts.items():
        lines = [f"{name},{name.split('_')[2]}\n" for name in names]
        (folder / f"{part}.csv").write_text("".join(lines), encoding="utf-8-sig")
        for name in names:
            number = emotions.index(name.split("_")[2])
            write_wave(folder / "AudioWAV" / f"{name}.wav", frequency=300.0 * (number + 1))
            for index in range(frames):
                picture = folder / "Image-01-FPS" / name / f"{30 * index:05d}.jpg"
                write_picture(picture, level=40 * number + 10 * index)
    return folder
