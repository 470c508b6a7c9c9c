from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convnet.data.arrays import load_arrays, prepare_arrays
from convnet.data.decoding import DEFAULT_LIMITS
from convnet.data.manifest import build_manifest
from convnet.params.data import Images
from helpers.tiny_dataset import RULES, encoded, picture, write_dataset


def _remarks(folder: Path, cats: list[bytes], dogs: list[bytes], limits: Images = DEFAULT_LIMITS) -> list[str]:
    files = {f"{name}/{i}": data for name, part in (("cat", cats), ("dog", dogs)) for i, data in enumerate(part)}
    write_dataset(folder, {"a.zip": files})
    return build_manifest(folder, limits=limits, split=RULES)[1]["remarks"]


def _many(start: int, kind: str = "PNG") -> list[bytes]:
    return [encoded(picture(seed), kind) for seed in range(start, start + 10)]


def _grey_16(seed: int, highest: int) -> bytes:
    values = np.asarray(picture(seed).convert("L")).astype(np.uint16)
    return encoded(Image.fromarray((values.astype(int) * highest // 255).astype(np.uint16)))


def test_usual_images_have_no_remark(tmp_path: Path) -> None:
    assert _remarks(tmp_path, _many(0), _many(10)) == []


@pytest.mark.parametrize(
    ("dogs", "what"),
    [
        (_many(10, "JPEG"), "the format "),
        ([encoded(picture(seed).convert("L")) for seed in range(10, 20)], "the colour mode "),
        ([encoded(picture(seed, (60, 60))) for seed in range(10, 20)], "the size "),
        (
            [encoded(picture(seed).point(lambda x: x // 4)) for seed in range(10, 20)],
            "the mean brightness alone",
        ),
    ],
)
def test_class_with_another_property(tmp_path: Path, dogs: list[bytes], what: str) -> None:
    assert any(what in line for line in _remarks(tmp_path, _many(0), dogs))


def test_images_of_one_colour(tmp_path: Path) -> None:
    blank = encoded(Image.new("RGBA", (40, 40), (0, 0, 0, 0)))
    assert any(
        "one colour only" in line and "images.background is white" in line
        for line in _remarks(tmp_path, [*_many(0), blank], _many(10))
    )


def test_dark_16_bit_grey_is_reported_and_scaled_by_its_own_range(tmp_path: Path) -> None:
    parts = [[_grey_16(seed, 4095) for seed in range(start, start + 10)] for start in (0, 10)]
    lines = _remarks(tmp_path / "full", *parts)
    assert any("set images.grey_range to auto" in line for line in lines)
    auto = DEFAULT_LIMITS.model_copy(update={"grey_range": "auto"})
    assert any(line.endswith("become 0 to 255") for line in _remarks(tmp_path / "auto", *parts, auto))
    manifest, _ = build_manifest(tmp_path / "auto", limits=auto, split=RULES)
    grey = prepare_arrays(manifest, tmp_path / "auto", (40, 48), auto, tmp_path / "arrays")["images"]["grey_range"]
    assert grey == [int(manifest["grey_low"].min()), int(manifest["grey_high"].max())]
    assert load_arrays(tmp_path / "arrays", "train").images.max() > 240


def _cut_remarks(folder: Path, files: dict[str, bytes]) -> list[str]:
    write_dataset(folder, {"a.zip": files})
    lines = build_manifest(folder, limits=DEFAULT_LIMITS, split=RULES)[1]["remarks"]
    return [line for line in lines if "were divided" in line]


def test_cut_that_keeps_its_shares_has_no_remark(tmp_path: Path) -> None:
    files = {f"{name}/{i}": encoded(picture(i + 50 * (name == "dog"))) for name in ("cat", "dog") for i in range(10)}
    assert _cut_remarks(tmp_path, files) == []


def test_cut_that_missed_its_shares_names_the_large_group(tmp_path: Path) -> None:
    copies = {f"cat/{i}": encoded(picture(0)) for i in range(16)}
    others = {
        f"{name}/o{i}": encoded(picture(i + 50 * (name == "dog"))) for name in ("cat", "dog") for i in range(1, 4)
    }
    (line,) = _cut_remarks(tmp_path, copies | others)
    assert line.endswith("% of the settings: 16 images stay together as one group"), line


def test_cut_of_tiny_classes_names_them(tmp_path: Path) -> None:
    files = {f"{name}/{i}": encoded(picture(i + 50 * (name == "dog"))) for name in ("cat", "dog") for i in range(3)}
    (line,) = _cut_remarks(tmp_path, files)
    assert line == (
        "train holds 33% of the 6 images that were divided, not the 60% of the settings: the smallest class has 3 "
        "images, and each split needs one"
    )


def test_official_part_that_is_not_cut_has_no_remark(tmp_path: Path) -> None:
    files = {
        f"{part}/{name}/{i}": encoded(picture(i + 50 * (name == "dog") + 100 * (part == "test")))
        for name in ("cat", "dog")
        for part, count in (("train", 20), ("test", 2))
        for i in range(count)
    }
    assert _cut_remarks(tmp_path, files) == []
