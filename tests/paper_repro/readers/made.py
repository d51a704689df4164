"""Small sounds, pictures, videos and folders, in the layouts of the papers' repositories."""

import pickle
from collections.abc import Mapping, Sequence
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


Listed = Mapping[str, Sequence[tuple[str, str]]]
"""Part to its (class, name)."""


def write_kinetics_sounds(
    folder: Path,
    parts: Mapping[str, Sequence[tuple[int, str]]],
    shape: tuple[int, int] = (1024, 128),
) -> Path:
    """Write (class, name) of each part; a class has its level of sound, of this shape, and picture."""
    for part, clips in parts.items():
        (folder / f"{part}_spec").mkdir(parents=True)
        lines = [f"{name},10,{number}\n" for number, name in clips]
        (folder / f"my_{part}.txt").write_text("".join(lines), encoding="utf-8")
        for number, name in clips:
            spectrum = np.full(shape, 0.1 * number, dtype=np.float32)
            np.save(folder / f"{part}_spec" / f"{name}.npy", spectrum)
            for index in range(1, 11):
                write_picture(folder / f"{part}_frames" / name / f"frame_{index:05d}.jpg", 8 * number + index)
    return folder


def write_ave(folder: Path, parts: Listed, frames: int = 10, shape: tuple[int, int] = (257, 1004)) -> Path:
    """Write (event, name) of each part; frames and sound, of this shape, are alike for all."""
    (folder / "Audio-1004-SE").mkdir(parents=True)
    for part, videos in parts.items():
        lines = [f"{event}&{name}&good&0&10\n" for event, name in videos]
        (folder / f"{part}Set.txt").write_text("".join(lines), encoding="utf-8")
        for _, name in videos:
            values = np.random.RandomState(len(name)).standard_normal(shape).astype(np.float32)
            (folder / "Audio-1004-SE" / f"{name}.pkl").write_bytes(pickle.dumps(values))
            for index in range(frames):
                write_picture(folder / "Image-01-FPS-SE" / name / f"{25 * index:05d}.jpg", 10 * index)
    return folder


def write_ucf101(folder: Path, parts: Listed, frames: int = 6, flow: int = 9) -> Path:
    """Write (action, name) of each part; the level of a flow picture is its number, v has 100 more than u."""
    folder.mkdir(parents=True, exist_ok=True)
    actions = list(dict.fromkeys(action for videos in parts.values() for action, _ in videos))
    text = "".join(f"{number} {action}\n" for number, action in enumerate(actions, start=1))
    (folder / "classInd.txt").write_text(text, encoding="utf-8")
    for part, videos in parts.items():
        ends = {"train": " 1", "test": ""}
        lines = [f"{action}/{name}.avi{ends[part]}\n" for action, name in videos]
        (folder / f"{part}list01.txt").write_text("".join(lines), encoding="utf-8")
        for _, name in videos:
            for index in range(1, frames + 1):
                write_picture(folder / "rgb" / name / f"frame_{index:05d}.jpg", 20 * index)
            for index in range(1, flow + 1):
                write_grey(folder / "flow" / "u" / name / f"frame{index:06d}.jpg", index)
                write_grey(folder / "flow" / "v" / name / f"frame{index:06d}.jpg", 100 + index)
    return folder


def write_grey(path: Path, level: int, size: tuple[int, int] = (24, 18)) -> Path:
    """Write a grey picture of one level."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, level).save(path, quality=95)
    return path


def write_vggsound(folder: Path, clips: Sequence[tuple[str, str, str, str]], frames: int = 4) -> Path:
    """Write clips (id, start, class, part)."""
    folder.mkdir(parents=True, exist_ok=True)
    for clip in clips:
        name, part = f"{clip[0]}_{clip[1]}", clip[3]
        write_wave(folder / f"{part}-audios" / f"{part}-set" / f"{name}.wav", 0.2)
        images = folder / f"{part}-videos" / f"{part}-set-img" / "Image-01-FPS" / f"{name}.mp4"
        for index in range(frames):
            write_picture(images / f"{25 * index:05d}.jpg", level=30 * index)
    (folder / "vggsound.csv").write_text("".join(",".join(clip) + "\n" for clip in clips), encoding="utf-8")
    return folder
