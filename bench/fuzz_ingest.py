"""Does any file stop the ingest? Damage pictures and archives for a bounded time and read them as the stages do.

    python bench/fuzz_ingest.py                                 60 s, writes bench/results/fuzz_ingest.json
    python bench/fuzz_ingest.py --seconds 600 --seed 7 --keep findings/

Every input follows from (seed, number). A picture must end as pixels or as a `BadImage`, an archive as a manifest or
as a `UserError`; all else is a finding: another exception, a crash of a C library, more than 5 s or more than 3 GiB.
PNG checksums are repaired after the damage in half of the cases, or nothing behind them would ever be reached.
"""

import argparse
import io
import json
import resource
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import traceback
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from convnet.errors import UserError
from convnet.images import BadImage, Limits, load_image
from convnet.manifest import SplitRules, build_manifest
from convnet.storage import write_json

RESULTS = Path(__file__).parent / "results" / "fuzz_ingest.json"
IMAGE_SIZE = (32, 32)
LIMITS = Limits(maximum_pixels=4_000_000)
RULES = SplitRules(
    validation=0.2, test=0.2, test_from_validation=0.5, seed=0, near_duplicate_distance=8, repair_leaks=False,
    strict=False,
)  # fmt: skip
LONGEST = 5.0  # seconds of processor time for one input
MEMORY = 3 * 2**30
FORMATS = {"jpg": "JPEG", "png": "PNG", "gif": "GIF", "bmp": "BMP", "webp": "WEBP", "tif": "TIFF"}
MODES = {"jpg": ("RGB", "L", "CMYK"), "png": ("RGB", "RGBA", "LA", "P", "1", "I;16"), "gif": ("P", "RGB"),
         "bmp": ("RGB", "P", "1"), "webp": ("RGB", "RGBA"), "tif": ("RGB", "CMYK", "I;16", "1")}  # fmt: skip
EDGES = (0, 1, 0x7F, 0x80, 0xFF)


def main() -> None:
    """Start workers until the time is over; a worker that dies is a finding, and the next one goes on behind it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the inputs that were findings")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker is not None:
        work(arguments.seed, arguments.worker, arguments.seconds)
        return
    end = time.monotonic() + arguments.seconds
    counts: Counter[str] = Counter()
    findings: list[dict[str, Any]] = []
    number = 0
    while (left := end - time.monotonic()) > 0:
        command = [sys.executable, __file__, "--worker", str(number), "--seed", str(arguments.seed)]
        done = subprocess.run([*command, "--seconds", str(left)], capture_output=True, text=True, check=False)
        events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{") and line.endswith("}")]
        counts.update(event["verdict"] for event in events)
        findings += [event for event in events if event["verdict"] == "finding"]
        number = events[-1]["number"] + 1 if events else number
        if done.returncode == 0:
            break
        what = signal.Signals(-done.returncode).name if done.returncode < 0 else done.stderr.strip()[-500:]
        findings.append({"verdict": "finding", "number": number, "what": f"the process ended: {what}"})
        counts["finding"] += 1
        number += 1
    for finding in findings:
        print(f"input {finding['number']}: {finding['what']}")
        if arguments.keep:
            arguments.keep.mkdir(parents=True, exist_ok=True)
            name, content = make_input(arguments.seed, finding["number"])
            (arguments.keep / f"{finding['number']}-{name}").write_bytes(content)
    print(", ".join(f"{count:,} {verdict}" for verdict, count in sorted(counts.items())))
    write_json(
        RESULTS, {"seconds": arguments.seconds, "seed": arguments.seed, "counts": dict(counts), "findings": findings}
    )
    sys.exit(bool(findings))


def work(seed: int, number: int, seconds: float) -> None:
    """Read inputs from `number` on, one line of JSON each."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        while time.monotonic() < end:
            name, content = make_input(seed, number)
            start = time.process_time()
            event = {"number": number} | judge(name, content, Path(folder))
            if time.process_time() - start > LONGEST:
                event |= {"verdict": "finding", "what": f"{name} took {time.process_time() - start:.1f} s"}
            print(json.dumps(event), flush=True)
            number += 1


def judge(name: str, content: bytes, folder: Path) -> dict[str, Any]:
    """Read one input as the stages do, and say how it ended."""
    try:
        if name.endswith((".zip", ".tar", ".tar.gz")):
            return {"verdict": _read_archive(name, content, folder)}
        image = load_image(content, name, IMAGE_SIZE, LIMITS)
        if image.shape != (*IMAGE_SIZE, 3) or image.dtype != np.uint8:
            return {"verdict": "finding", "what": f"{name} gave {image.dtype} {image.shape}"}
        return {"verdict": "pictures read"}
    except BadImage as fault:
        return _told("pictures refused", str(fault))
    except UserError as fault:
        return _told("archives refused", str(fault))
    except Exception:  # every other one is what is looked for
        return {"verdict": "finding", "what": f"{name}: {traceback.format_exc(limit=-4)}"}


def _told(verdict: str, reason: str) -> dict[str, Any]:
    if not reason or "\n" in reason:
        return {"verdict": "finding", "what": f"no single sentence: {reason!r}"}
    return {"verdict": verdict}


def _read_archive(name: str, content: bytes, folder: Path) -> str:
    (folder / name).write_bytes(content)
    sources = {"dataset": "fuzz", "pictures": "rendered", "sources": [{"file": name, "split": None}]}
    (folder / "sources.json").write_text(json.dumps(sources))
    build_manifest(folder, limits=LIMITS, split=RULES)
    return "archives read"


def make_input(seed: int, number: int) -> tuple[str, bytes]:
    """Return the name and content of one damaged file."""
    generator = np.random.default_rng([seed, number])
    if number % 8 == 0:
        kind = str(generator.choice(["zip", "tar", "tar.gz"]))
        return f"a.{kind}", damage(generator, _archive(generator, kind))
    suffix = str(generator.choice(list(FORMATS)))
    content = damage(generator, _picture(generator, suffix))
    if suffix == "png" and generator.random() < 0.5:
        content = _with_checksums(content)
    return f"a.{suffix}", content


def damage(generator: np.random.Generator, content: bytes) -> bytes:
    """Return `content` with one to six changes: bytes set, runs removed, doubled, moved or cut off."""
    data = bytearray(content)
    for _ in range(int(generator.integers(1, 7))):
        size = len(data)
        if size < 2:
            break
        # Headers decide most, and they lie at the beginning or, in a ZIP archive, at the end.
        reach = int(generator.choice([min(64, size), min(512, size), size]))
        place = int(generator.integers(reach))
        place = size - 1 - place if generator.random() < 0.2 else place
        length = int(generator.integers(1, 1 + min(64, size - place)))
        action = generator.integers(6)
        if action <= 1:
            data[place] = int(generator.integers(256))
        elif action == 2:
            data[place : place + length] = bytes([int(generator.choice(EDGES))]) * length
        elif action == 3:
            del data[place : place + length]
        elif action == 4:
            data[place:place] = data[place : place + length] * int(generator.integers(1, 4))
        elif generator.random() < 0.3:
            del data[place:]
    return bytes(data)


def _picture(generator: np.random.Generator, suffix: str) -> bytes:
    height, width = (int(side) for side in generator.integers(8, 80, 2))
    pixels = generator.integers(0, 256, (height, width, 3)).astype(np.uint8)
    mode = str(generator.choice(MODES[suffix]))
    image = Image.fromarray(pixels)
    image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257) if mode == "I;16" else image.convert(mode)
    options: dict[str, Any] = {}
    if suffix == "jpg":
        exif = Image.Exif()
        exif[0x0112] = int(generator.integers(0, 10))  # orientation
        options = {"exif": exif, "progressive": bool(generator.integers(2)), "quality": int(generator.integers(5, 96))}
    if suffix in {"gif", "tif"} and generator.random() < 0.5:
        options = {"save_all": True, "append_images": [image.rotate(90)]}
    if suffix == "tif":
        options["compression"] = generator.choice(["raw", "tiff_lzw", "tiff_deflate", "packbits"]).item()
    buffer = io.BytesIO()
    image.save(buffer, FORMATS[suffix], **options)
    return buffer.getvalue()


def _archive(generator: np.random.Generator, kind: str) -> bytes:
    suffixes = generator.choice(list(FORMATS), 8)
    members = {f"{'cat' if i % 2 else 'dog'}/{i}.{s}": _picture(generator, str(s)) for i, s in enumerate(suffixes)}
    buffer = io.BytesIO()
    if kind == "zip":
        method = int(generator.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]))
        with zipfile.ZipFile(buffer, "w", method) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return buffer.getvalue()
    form = int(generator.choice([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))
    with tarfile.open(fileobj=buffer, mode="w:gz" if kind == "tar.gz" else "w", format=form) as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def _with_checksums(content: bytes) -> bytes:
    """Return a damaged PNG with the checksum of every chunk made right again, as far as chunks can be told."""
    data = bytearray(content)
    for start, end in _chunks(data):
        data[end - 4 : end] = zlib.crc32(bytes(data[start + 4 : end - 4])).to_bytes(4, "big")
    return bytes(data)


def _chunks(data: Sequence[int]) -> Iterator[tuple[int, int]]:
    start = 8
    while start + 12 <= len(data):
        end = start + 12 + int.from_bytes(bytes(data[start : start + 4]), "big")
        if end > len(data):
            return
        yield start, end
        start = end


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        main()
