"""A disk that is really full: whoever writes says so in one sentence, and what was there before stays as it was."""

import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest

from convnet.data.arrays import prepare_arrays
from convnet.data.decoding import DEFAULT_LIMITS
from convnet.data.manifest import build_manifest
from convnet.data.packing import pack_folder
from convnet.download.fetch import Address, fetch
from convnet.jobs.checkpoints import Checkpoint, save_checkpoint
from convnet.jobs.predictions import Prediction, save_predictions
from convnet.params.data import Split
from convnet.rendering.datasets import render_archive
from convnet.report.chart import Numbers
from convnet.report.charts import confusion
from convnet.report.style import save_figure, variant_styles
from convnet.report.tables import write_tables
from convnet.system.csv_tables import write_csv
from convnet.system.errors import UserError
from convnet.system.files import read_json, write_json, write_text
from helpers.evaluations import VARIANTS, make_evaluations, typed
from helpers.tiny_dataset import encoded, picture, write_dataset
from helpers.tiny_study import PIXELS_ONLY, TRAIN, run_stage, write_arrays, write_params

KIB = 1024
MIB = 1024 * KIB
RULES = Split(
    validation=0.2, test=0.2, test_from_validation=0.5, seed=0, near_duplicate_distance=8, repair_leaks=False,
    strict=False,
)  # fmt: skip


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MiB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "convnet-test", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"needs root to mount a small disk: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(disk: Path, leaving: int) -> None:
    """Fill the disk up to `leaving` bytes."""
    block = 4 * KIB  # what a tmpfs gives out
    with (disk / "ballast").open("wb", buffering=0) as file:
        while True:
            try:
                file.write(bytes(block))
            except OSError:
                break
        file.truncate(file.tell() // block * block - leaving)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "ballast"
    }


def _state(folder: Path, marker: float) -> None:
    save_checkpoint(folder, Checkpoint(1, [np.full(30_000, marker)], [], [], 0.0))


def _predictions(folder: Path, marker: float) -> None:
    table = np.full((9_000, 3), marker, dtype=np.float32)
    whole = Prediction(table, np.zeros(9_000, dtype=np.int64), np.arange(9_000))
    save_predictions(folder / "predictions.npz", {0: {"test": whole}})


def _figure(folder: Path, marker: float) -> None:
    numbers = Numbers(typed(*make_evaluations(1, 3, int(marker) + 1)), variant_styles(VARIANTS))
    save_figure(confusion.charts(numbers)[0].figure, folder / "confusion")


def _tables(folder: Path, marker: float) -> None:
    write_tables(typed(*make_evaluations(2, 6, int(marker) + 4)), folder)


def _packed(folder: Path, marker: float) -> None:
    source = folder.parent.parent / f"source-{marker}"
    (source / "cat").mkdir(parents=True, exist_ok=True)
    (source / "cat" / "1.bmp").write_bytes(bytes([int(marker)]) * 100 * KIB)
    pack_folder(source, folder / "own.zip")


def _drawn(folder: Path, marker: float) -> None:
    render_archive("pets", 6, int(marker), (160, 160), folder / "pets.zip")


WRITERS: dict[str, Callable[[Path, float], None]] = {
    "text": lambda folder, marker: write_text(folder / "page.html", str(marker) * 50_000),
    "json": lambda folder, marker: write_json(folder / "evaluation.json", [marker] * 50_000),
    "state_of_a_job": _state,
    "predictions": _predictions,
    "figure": _figure,
    "tables": _tables,
    "packed_folder": _packed,
    "rendered_pictures": _drawn,
}


# How many bytes these write, whatever part of them went onto the disk.
KNOWN_BEFORE = {"text": 150_000, "json": 300_003, "state_of_a_job": 241_000}


def needed_and_free(sentence: str) -> tuple[int, int]:
    """Return the two numbers that the sentence about a full disk gives."""
    found = re.search(r"\(at least ([\d,]+) bytes needed, ([\d,]+) free\)", sentence)
    assert found, sentence
    needed, free = (int(number.replace(",", "")) for number in found.groups())
    return needed, free


@pytest.mark.parametrize("what", WRITERS)
def test_full_disk_is_told_and_keeps_the_old_file_of(disk: Path, what: str) -> None:
    folder = disk / "out"
    WRITERS[what](folder, 1.0)
    before = contents(folder)
    assert before
    fill(disk, leaving=8 * KIB)
    with pytest.raises(
        UserError, match=r"^the disk is full while writing .*\([^)]* bytes needed, [\d,]+ free\)"
    ) as told:
        WRITERS[what](folder, 2.0)
    if what in KNOWN_BEFORE:
        needed, free = needed_and_free(str(told.value))
        assert free < 0.9 * KNOWN_BEFORE[what] <= needed <= KNOWN_BEFORE[what]
    after = contents(folder)
    assert set(after) == set(before), "nothing half is left"
    assert any(after[name] == before[name] for name in before)
    (disk / "ballast").unlink()
    WRITERS[what](folder, 2.0)
    assert contents(folder) != before


def test_full_disk_while_packing_arrays_leaves_no_dataset_that_looks_whole(disk: Path, tmp_path: Path) -> None:
    members = {f"{name}/{i}.png": encoded(picture(100 * k + i)) for k, name in enumerate(("cat", "dog"))
               for i in range(10)}  # fmt: skip
    archives = write_dataset(tmp_path / "archives", {"a.zip": members})
    rows, _ = build_manifest(archives, limits=DEFAULT_LIMITS, split=RULES)
    write_csv(disk / "manifest.csv", rows)
    for leaving in (0, 60 * KIB, 160 * KIB):  # before the first byte, in the images, after them
        fill(disk, leaving=leaving)
        with pytest.raises(UserError, match=r"^the disk is full while writing .*\.(npy|json) ") as told:
            prepare_arrays(rows, archives, (64, 64), DEFAULT_LIMITS, disk / "arrays")
        if "images.npy" in str(told.value):
            assert needed_and_free(str(told.value))[0] == len(members) * 64 * 64 * 3
        assert not (disk / "arrays" / "dataset.json").exists()
        assert not list(disk.rglob("*.partial*"))
        (disk / "ballast").unlink()
    prepare_arrays(rows, archives, (64, 64), DEFAULT_LIMITS, disk / "arrays")
    assert (disk / "arrays" / "dataset.json").exists()


def test_full_disk_is_told_for_large_labels_too(disk: Path) -> None:
    # Labels that outgrow one block: np.save would raise an error without a number here.
    from convnet.data.arrays import _write_array

    fill(disk, leaving=8 * KIB)
    with pytest.raises(UserError, match=r"the disk is full while writing .*\(at least 160,128 bytes needed"):
        _write_array(disk / "labels.npy", np.zeros(20_000, dtype=np.int64))
    assert not list(disk.glob("*labels*"))


@pytest.mark.parametrize(
    ("margin", "reason"),
    [
        (0, r"pets\.zip could not be stored at .*: No space left on device"),
        (MIB, "pets.zip of unknown size fills the disk; set `bytes` in params.yaml"),
        (64 * MIB, r"pets\.zip needs 0 bytes \(and 67,108,864 to spare\) but only [\d,]+ are free"),
    ],
)
def test_disk_that_fills_up_during_a_download_of_unknown_length_is_reported(
    disk: Path, margin: int, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convnet.download.http.SPACE_MARGIN", margin)

    class Endless(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/zip")
            self.end_headers()
            try:
                while True:
                    self.wfile.write(bytes(64 * KIB))
            except ConnectionError:
                pass

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Endless) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        address = Address((f"http://127.0.0.1:{server.server_address[1]}/pets.zip",))
        with pytest.raises(UserError, match=reason):
            fetch(address, disk / "archives" / "pets.zip", redirect_folder=None, retries=0)
        server.shutdown()
    assert not (disk / "archives" / "pets.zip").exists()
    assert margin == 0 or not list((disk / "archives").glob("*.partial"))


def test_disk_that_cannot_be_written_is_one_sentence(disk: Path) -> None:
    write_text(disk / "page.html", "old")
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    with pytest.raises(UserError, match=r"page\.html cannot be written \(Read-only file system\): make its folder"):
        write_text(disk / "page.html", "new")
    with pytest.raises(UserError, match="cannot be written"):
        write_text(disk / "new" / "page.html", "new")
    assert (disk / "page.html").read_text() == "old"


@pytest.mark.slow
def test_full_disk_fails_each_job_with_its_own_sentence_though_no_note_of_it_can_be_kept(disk: Path) -> None:
    network = {"filters": [4, 8], "dense": 512}
    settings = {"run.seeds": [0, 1, 2], "training.epochs": 1, "network": network, "engine.parallel_jobs": 1}
    write_params(disk, PIXELS_ONLY | settings)
    write_arrays(disk / "arrays")
    fill(disk, leaving=0)
    failed = run_stage(disk, *TRAIN)
    assert failed.returncode == 2
    assert "Traceback" not in failed.stderr
    last = failed.stderr.splitlines()[-1]
    assert last.startswith(
        "error: 3 of 3 jobs failed, the others are kept: tiny/baseline seed 0: the disk is full while"
    )
    assert re.findall(r"seed (\d): the disk is full while writing \S+/model\.keras ", last) == ["0", "1", "2"]
    assert "failed.json" not in failed.stderr


@pytest.mark.slow
def test_full_disk_while_saving_a_model_keeps_the_old_model_and_the_job_can_be_run_again(disk: Path) -> None:
    command = TRAIN
    # One epoch and no state: the model is the first large file to be written.
    changes = {"run.pixel_variants": ["baseline"], "training.epochs": 1, "network": {"filters": [4, 8], "dense": 512}}
    write_params(disk, PIXELS_ONLY | changes)
    write_arrays(disk / "arrays", classes=3)
    done = run_stage(disk, *command)
    assert done.returncode == 0, done.stderr
    before = contents(disk / "models" / "baseline")
    assert "seed-0.keras" in before

    write_params(disk, PIXELS_ONLY | changes | {"training.learning_rate": 0.002})
    fill(disk, leaving=64 * KIB)
    failed = run_stage(disk, *command)
    assert failed.returncode == 2
    assert "Traceback" not in failed.stderr
    last = failed.stderr.splitlines()[-1]
    assert "the disk is full while writing" in last
    needed, free = needed_and_free(last)
    parameters = read_json(disk / "models" / "baseline" / "job.json")["seeds"][0][
        "parameters"
    ]  # of the run before, the same network
    assert free < needed == 4 * parameters
    assert contents(disk / "models" / "baseline") == before
    assert len(list((disk / ".jobs").glob("*/result"))) == 1
    assert not [path for path in disk.rglob("*") if "partial" in path.name]

    (disk / "ballast").unlink()
    again = run_stage(disk, *command)
    assert again.returncode == 0, again.stderr
    assert contents(disk / "models" / "baseline")["seed-0.keras"] != before["seed-0.keras"]
