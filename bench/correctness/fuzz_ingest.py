"""Does any file stop the ingest? Let hypothesis damage images and archives, and read them as the stages do.

    python -m bench.correctness.fuzz_ingest                                 60 s, writes bench/results/fuzz_ingest.json
    python -m bench.correctness.fuzz_ingest --seconds 600 --seed 7 --keep findings/

An image must end as pixels or as a `BadImage`, an archive as a manifest or as a `UserError`; all else is a finding:
another exception, a crash of a C library, an image turned otherwise than Pillow turns it, an archive with more members
than are allowed, more than 5 s or more than 128 MiB. Hypothesis makes what fails smaller until
it is as simple as it gets; a crash is kept as it was. Rounds of 500 files follow from (seed, number of the round).
"""

import argparse
import io
import json
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from contextlib import suppress
from pathlib import Path

import hypothesis
import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Flaky
from PIL import Image, ImageOps

from bench.lib.damaged import ARCHIVES, damaged_files
from convnet.data.archive_base import ArchiveLimits
from convnet.data.archives import open_archive
from convnet.data.decoding import decode, load_image
from convnet.data.image_faults import BadImage
from convnet.data.manifest import build_manifest
from convnet.data.pillow_limits import silent_libtiff
from convnet.params.data import Images, Split
from convnet.system.errors import UserError
from convnet.system.files import write_json

RESULTS = Path(__file__).parents[1] / "results" / "fuzz_ingest.json"
IMAGE_SIZE = (32, 32)
LIMITS = Images(maximum_pixels=4_000_000, minimum_side=8)
RULES = Split(
    validation=0.2, test=0.2, test_from_validation=0.5, seed=0, near_duplicate_distance=8, repair_leaks=False,
    strict=False,
)  # fmt: skip
FILES_PER_ROUND = 500
LONGEST = 5.0  # seconds of processor time for one input
LARGEST = 128  # MiB that the memory of the process may grow by for one input
MEMORY = 3 * 2**30  # bytes: beyond it the process ends, so that the machine does not
FEW = ArchiveLimits(maximum_members=3)
# Modes whose way to RGB is Pillow's own: 16-bit grey and transparency are not.
COMPARED = {"1", "L", "RGB", "CMYK"}


class FoundError(Exception):
    """A file ended neither well nor in a sentence."""


def main() -> None:
    """Start workers until the time is over; a worker that dies is a finding, and the next round goes on behind it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the inputs that were findings")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker is not None:
        work(arguments.worker, arguments.seed, arguments.first, time.monotonic() + arguments.seconds)
        return
    end = time.monotonic() + arguments.seconds
    counts: Counter[str] = Counter()
    findings: list[str] = []
    number = 0
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        while (left := end - time.monotonic()) > 0:
            module = ["-m", "bench.correctness.fuzz_ingest"]
            command = [sys.executable, *module, "--worker", name, "--seed", str(arguments.seed)]
            done = subprocess.run(
                [*command, "--first", str(number), "--seconds", str(left)], capture_output=True, text=True, check=False
            )
            rounds = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
            for found in rounds:
                counts.update(found["counts"])
            number += len(rounds)
            if done.returncode == 0:
                break
            what = rounds.pop()["finding"] if rounds and rounds[-1]["finding"] else _death(done)
            findings.append(f"round {number}: {what}")
            number += 1
            _keep(Path(name), arguments.keep, len(findings))
    for finding in findings:
        print(finding)
    print(", ".join(f"{count:,} {verdict}" for verdict, count in sorted(counts.items())))
    facts = {"seconds": arguments.seconds, "seed": arguments.seed, "hypothesis": hypothesis.__version__}
    write_json(RESULTS, facts | {"counts": dict(counts), "findings": findings})
    sys.exit(bool(findings))


def work(folder: Path, seed: int, number: int, end: float) -> None:
    """Run rounds until `end`, one line of JSON each; leave after a finding, whose file then lies in `folder`."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    while time.monotonic() < end:
        counts, finding = run_round(folder, seed, number, end)
        print(json.dumps({"counts": counts, "finding": finding}), flush=True)
        if finding:
            sys.exit(1)
        number += 1


def run_round(folder: Path, seed: int, number: int, end: float = float("inf")) -> tuple[Counter[str], str | None]:
    """Read the files of one round.

    Args:
        folder: where each file is put while it is read; the last one stays.
        seed: of the whole run.
        number: of the round.
        end: when to stop, by the monotonic clock.

    Returns:
        How many files ended how, and the simplest finding.
    """
    counts: Counter[str] = Counter()
    found: list[FoundError] = []

    @hypothesis.seed(seed * 1_000_000 + number)
    @settings(
        max_examples=FILES_PER_ROUND, deadline=None, database=None, phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck), report_multiple_bugs=False,
    )  # fmt: skip
    @given(damaged_files())
    def check(file: tuple[str, bytes]) -> None:
        if time.monotonic() > end and not found:
            return
        for old in folder.iterdir():
            old.unlink()
        (folder / file[0]).write_bytes(file[1])
        try:
            counts[judge(*file, folder)] += 1
        except FoundError as finding:
            found.append(finding)
            raise

    try:
        check()
    except FoundError as finding:
        return counts, str(finding)
    except Flaky:  # tried again, the same file takes less: not all memory was given back the first time
        return counts, str(found[-1])
    return counts, None


def judge(name: str, content: bytes, folder: Path) -> str:
    """Read one file, which lies in `folder`, as the stages do, and say how it ended.

    Raises:
        FoundError: it ended otherwise than it must, or it took too long.
    """
    start, memory = time.process_time(), _memory_from_here()
    try:
        is_archive = name.removeprefix("a.") in ARCHIVES
        verdict = _read_archive(name, folder) if is_archive else _read_picture(name, content)
    except BadImage as fault:
        verdict = _told("images refused", fault)
    except UserError as fault:
        verdict = _told("archives refused", fault)
    except FoundError:
        raise
    except Exception as error:  # every other one is what is looked for
        raise FoundError(f"{name}: {traceback.format_exc(limit=-4)}") from error
    if time.process_time() - start > LONGEST:
        raise FoundError(f"{name} took {time.process_time() - start:.1f} s")
    if (grown := _status("VmHWM") - memory) > LARGEST:
        raise FoundError(f"{name} took {grown:,} MiB")
    return verdict


def _read_picture(name: str, content: bytes) -> str:
    image = load_image(content, name, IMAGE_SIZE, LIMITS)
    if image.shape != (*IMAGE_SIZE, 3) or image.dtype != np.uint8:
        raise FoundError(f"{name} gave {image.dtype} {image.shape}")
    if name.endswith((".jpg", ".tif")):
        _compare_with_pillow(name, content)
    return "images read"


def _compare_with_pillow(name: str, content: bytes) -> None:
    """Compare with the first page as Pillow turns it; what only Pillow cannot turn says nothing."""
    found = decode(content, name, LIMITS).image
    with warnings.catch_warnings(), silent_libtiff(content):
        warnings.simplefilter("ignore")
        try:
            image = Image.open(io.BytesIO(content))
            if image.mode not in COMPARED or "transparency" in image.info:
                return
            expected = ImageOps.exif_transpose(image).convert("RGB")
        except Exception:  # damaged metadata
            return
    if found.size != expected.size or found.tobytes() != expected.tobytes():
        raise FoundError(f"{name} is turned otherwise than by Pillow")


def _read_archive(name: str, folder: Path) -> str:
    with suppress(UserError), open_archive(folder / name, FEW) as archive:
        if len(archive.members()) + len(archive.folders()) > FEW.maximum_members:
            raise FoundError(f"{name} was opened though it has more than {FEW.maximum_members} members")
    sources = {"dataset": "fuzz", "kind": "rendered", "sources": [{"file": name, "split": None}]}
    (folder / "sources.json").write_text(json.dumps(sources))
    build_manifest(folder, limits=LIMITS, split=RULES)
    return "archives read"


def _memory_from_here() -> int:
    """Let the peak of this process begin anew, and return its memory in MiB."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmHWM")


def _status(field: str) -> int:
    return int(Path("/proc/self/status").read_text().split(f"{field}:")[1].split()[0]) // 1024


def _told(verdict: str, fault: Exception) -> str:
    if not str(fault) or "\n" in str(fault):
        raise FoundError(f"no single sentence: {str(fault)!r}")
    return verdict


def _death(done: "subprocess.CompletedProcess[str]") -> str:
    how = signal.Signals(-done.returncode).name if done.returncode < 0 else done.stderr.strip()[-500:]
    return f"the process ended: {how}"


def _keep(folder: Path, kept: Path | None, number: int) -> None:
    if kept is None:
        return
    kept.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("a.*"):
        shutil.copyfile(path, kept / f"{number}-{path.name}")


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        main()
