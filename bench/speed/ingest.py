"""What bringing images in costs, beside Pillow decoding them and doing nothing else.

    python -m bench.speed.ingest                 1,000 images, a minute
    python -m bench.speed.ingest --scale full    1,000, 5,000 and 25,000: linear? both cores used? memory?

Per core, in one process, in turns, by processor time: `verify` is what the split stage does to an image (checksum,
full decode, thumbnail), beside Pillow's full decode; `pack` is what the prepare stage does (decode at reduced size,
resize), beside Pillow's decode with JPEG draft scaling; both together beside both decodes, and beside all that Pillow
does in them. Then the two stages as they run, in processes of their own, on archives of repeated images, every file
with other bytes: seconds, processor seconds, and the resident memory of the stage and its workers together. Their rate
per core is held against both decodes with every core busy.
"""

import hashlib
import io
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from PIL import Image

from bench.lib.material import PROJECT, bring_archive, repeat_archive
from bench.lib.numbers import compare, parse_arguments, write_result
from bench.lib.sides import Watched, alternate, watch
from convnet.data.archives import open_archive
from convnet.data.decoding import decode, load_image
from convnet.data.duplicates import thumbnail
from convnet.system.processes import usable_cores

MEMORY_TARGET = 2 * 2**30


class Scale(NamedTuple):
    """How much is measured."""

    drawn_per_class: int
    sample: int  # images per repeat in one process
    repeats: int
    counts: tuple[int, ...]
    real: bool


SCALES = {
    "toy": Scale(30, 24, 1, (60,), real=False),
    "short": Scale(250, 300, 3, (1000,), real=True),
    "full": Scale(1000, 1000, 5, (1000, 5000, 25_000), real=True),
}
IMAGE_SIZE = (150, 150)


def verify(contents: list[bytes]) -> None:
    """Do what the split stage does to each image."""
    for content in contents:
        hashlib.sha256(content).hexdigest()
        thumbnail(decode(content, "picture.jpg").image)


def pack(contents: list[bytes]) -> None:
    """Do what the prepare stage does to each image."""
    for content in contents:
        load_image(content, "picture.jpg", IMAGE_SIZE)


def decode_whole(contents: list[bytes]) -> None:
    """Let Pillow decode each image."""
    for content in contents:
        Image.open(io.BytesIO(content)).load()


def decode_draft(contents: list[bytes]) -> None:
    """Let Pillow decode each image at the least size that is not below what is wanted."""
    for content in contents:
        image = Image.open(io.BytesIO(content))
        image.draft("RGB", IMAGE_SIZE)
        image.load()


def work_of_pillow(contents: list[bytes]) -> None:
    """Let Pillow do all that is its part of both stages, straight away: decode twice, shrink and resize."""
    for content in contents:
        Image.open(io.BytesIO(content)).convert("L").resize((32, 32), Image.Resampling.LANCZOS)
        image = Image.open(io.BytesIO(content))
        image.draft("RGB", IMAGE_SIZE)
        image.resize(IMAGE_SIZE, Image.Resampling.BILINEAR)


def decode_both_ways(contents: list[bytes]) -> float:
    """Return the seconds in which Pillow decodes each image whole and with draft."""
    start = time.perf_counter()
    decode_whole(contents)
    decode_draft(contents)
    return time.perf_counter() - start


def limit_of_all_cores(contents: list[bytes]) -> float:
    """Return pictures/s and core that Pillow decodes both ways while every core does.

    Two "cores" are often one with two threads, and then each does much less while the other works.
    """
    cores = usable_cores()
    with ProcessPoolExecutor(cores, mp_context=multiprocessing.get_context("spawn")) as pool:
        for _ in range(2):  # the first time, the processes start
            seconds = list(pool.map(decode_both_ways, [contents] * cores))
    return len(contents) * sum(1 / value for value in seconds) / cores


def per_core(contents: list[bytes], repeats: int) -> list[dict[str, Any]]:
    """Return the rows of one core."""
    steps: tuple[Callable[[list[bytes]], None], ...] = (verify, decode_whole, pack, decode_draft, work_of_pillow)
    for step in steps:
        step(contents[:10])

    def rate(step: Callable[[list[bytes]], None]) -> Callable[[int], float]:
        def measured(repeat: int) -> float:
            start = time.process_time()  # of this one process: others on the machine do not disturb it
            step(contents)
            return (time.process_time() - start) / len(contents)

        return measured

    found = alternate({step.__name__: rate(step) for step in steps}, repeats, "one core")
    ours = [a + b for a, b in zip(found["verify"], found["pack"], strict=True)]
    other = [a + b for a, b in zip(found["decode_whole"], found["decode_draft"], strict=True)]
    rows = []
    for what, mine, limit, name, target in (
        ("verify and pack", ours, found["work_of_pillow"], "Pillow decoding, shrinking and resizing", None),
        ("verify", found["verify"], found["decode_whole"], "Pillow decoding", None),
        ("pack", found["pack"], found["decode_draft"], "Pillow decoding with draft", None),
        ("verify and pack", ours, other, "Pillow decoding twice, once with draft", 0.8),
    ):
        rates = [[1 / value for value in side] for side in (mine, limit)]
        rows.append(
            compare(
                f"{what}, one core", "images/s", *rates, other_name=name, target=target, more_is_better=True
            )
        )  # fmt: skip
    return rows


def stages(archives: Path, images: int, limit: float) -> dict[str, Any]:
    """Run the split and the prepare stage on `images` repeated images; return the row."""
    with tempfile.TemporaryDirectory(prefix="ingest-") as name:
        folder = Path(name)
        repeat_archive(archives, images, folder / "archives")
        _write_params(folder)
        environment = {"PYTHONPATH": str(PROJECT / "src")}
        shared = [sys.executable]
        split = watch(
            [*shared, PROJECT / "stages" / "split.py", "--dataset", "bench", "archives", "rows.csv", "summary.json"],
            folder,
            environment,
        )
        prepare = watch(
            [*shared, PROJECT / "stages" / "prepare.py", "--dataset", "bench", "archives", "rows.csv", "arrays"],
            folder,
            environment,
        )
    seconds, cores = split.seconds + prepare.seconds, usable_cores()
    peak = max(split.peak_bytes, prepare.peak_bytes)
    return compare(
        f"stages split and prepare, {images:,} images, per core",
        "images/s",
        [images / seconds / cores],
        [limit],
        other_name="Pillow decoding twice, once with draft, on all cores at once",
        target=0.8 if images >= 1000 else None,
        more_is_better=True,
        seconds={"split": round(split.seconds, 2), "prepare": round(prepare.seconds, 2)},
        images_per_processor_second=round(images / (split.cpu_seconds + prepare.cpu_seconds), 1),
        cores_used={"split": _cores(split), "prepare": _cores(prepare)},
        milliseconds_per_picture=round(1000 * seconds / images, 3),
        peak_resident_mib=round(peak / 2**20),
        peak_resident_below_2_gib=peak < MEMORY_TARGET,
    )


def _cores(stage: Watched) -> float:
    return round(stage.cpu_seconds / stage.seconds, 2)


def _write_params(folder: Path) -> None:
    settings = yaml.safe_load((PROJECT / "params.yaml").read_text("utf-8"))
    settings["run"]["datasets"] = ["bench"]
    settings["datasets"]["bench"] = settings["datasets"]["pets"] | {
        "source": {"folder": "archives"},
        "image_size": list(IMAGE_SIZE),
        "split": {},  # the common shares: few images must fill a batch too
    }
    (folder / "params.yaml").write_text(yaml.safe_dump(settings, sort_keys=False), "utf-8")


def main() -> None:
    """Bring the images, measure one core, then the stages, write the result."""
    arguments = parse_arguments(__doc__, {"toy": "20 seconds", "short": "1 minute", "full": "6 minutes"})
    scale = SCALES[arguments.scale]
    with tempfile.TemporaryDirectory(prefix="ingest-") as name:
        archives = Path(name) / "archives"
        pictures = bring_archive(archives, scale.drawn_per_class, (200, 200), real=scale.real)
        (path,) = archives.glob("*.zip")
        contents: list[bytes] = []
        with open_archive(path) as archive:
            for member, data in archive.read_all():
                if isinstance(data, bytes) and member.lower().endswith(".jpg") and len(contents) < scale.sample:
                    contents.append(data)
        rows = per_core(contents, scale.repeats)
        limit = limit_of_all_cores(contents)
        rows += [stages(archives, images, limit) for images in scale.counts]
    write_result(arguments, rows, pictures=pictures)


if __name__ == "__main__":
    main()
