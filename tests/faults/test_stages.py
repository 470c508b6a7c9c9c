"""Stages as processes, on what a user may meet: one line on stderr, exit code 2, and nothing half made left behind."""

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from convnet.system.files import read_json
from convnet.system.processes import usable_cores
from helpers.tiny_dataset import encoded, picture, write_dataset
from helpers.tiny_study import PIXELS_ONLY, TRAIN, environment, run_stage, write_arrays, write_params

# As a stage runs its jobs, but with a learning rate that params.yaml would not let through for one of them: the loss of
# so small a network cannot be driven to NaN otherwise.
GOOD_AND_BAD = """
from dataclasses import replace
from pathlib import Path
from convnet.engine.run import run_jobs
from convnet.system.errors import command
from convnet.params.load import load_params
from convnet.jobs.planning import plan_jobs

@command
def main():
    params = load_params()
    (job,) = plan_jobs(params, "baseline", Path("arrays"))
    fit = job.recipe.fit.model_copy(update={"learning_rate": 1e30})
    bad = replace(job, recipe=job.recipe.model_copy(update={"variant": "reckless", "fit": fit}))
    run_jobs([bad, job], params)

if __name__ == "__main__":
    main()
"""


@pytest.fixture(autouse=True)
def no_stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but the address, which no proxy stands before."""
    monkeypatch.delenv("CONVNET_DATA", raising=False)
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port at which nobody listens, and nobody else can while the test runs."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def the_line(done: "subprocess.CompletedProcess[str]") -> str:
    """Return the only line that a stage said as it failed."""
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_download_without_a_connection_says_where_to_place_the_file(tmp_path: Path, closed_port: int) -> None:
    url = f"http://127.0.0.1:{closed_port}/pets.zip"
    archives = [{"url": url, "bytes": 1000, "sha256": "0" * 64}]
    write_params(tmp_path, {"datasets.tiny.source": {"archives": archives}})
    line = the_line(run_stage(tmp_path, "download", "--dataset", "tiny", "data/archives/tiny"))
    assert f"pets.zip could not be fetched: {url}: " in line
    place = line.partition("place the file by hand at ")[2].split()[0]
    assert place.startswith(".downloads/")
    assert place.endswith("/pets.zip")
    assert [name for name in contents(tmp_path) if "pets.zip" in name] == []
    assert list((tmp_path / "data" / "archives" / "tiny").iterdir()) == []

    # What the line says helps, though this is another file: the line then says so.
    (tmp_path / place).write_bytes(b"PK")
    line = the_line(run_stage(tmp_path, "download", "--dataset", "tiny", "data/archives/tiny"))
    assert f"{place}: sha256: expected 00000000" in line
    archives[0] = {"url": url}
    write_params(tmp_path, {"datasets.tiny.source": {"archives": archives}})
    done = run_stage(tmp_path, "download", "--dataset", "tiny", "data/archives/tiny")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "data" / "archives" / "tiny" / "pets.zip").read_bytes() == b"PK"


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_archive_that_leads_out_of_its_folder_is_refused_and_touches_nothing(tmp_path: Path, kind: str) -> None:
    write_params(tmp_path)
    pictures = {f"{name}/{number}.png": encoded(picture(10 * number + len(name))) for name in ("cat", "horse")
                for number in range(5)}  # fmt: skip
    archive = {f"tiny.{kind}": {**pictures, "../../outside.png": encoded(picture(99))}}
    write_dataset(tmp_path / "data" / "archives" / "tiny", archive)
    (tmp_path / "data" / "outside.png").write_bytes(b"mine")
    before = contents(tmp_path)
    splits = tmp_path / "data" / "splits"
    line = the_line(
        run_stage(
            tmp_path, "split", "--dataset", "tiny", "data/archives/tiny", splits / "tiny.csv", splits / "summary.json"
        )
    )
    assert f"tiny.{kind}" in line
    assert "outside.png" in line
    assert "leads out of the archive by '..'" in line
    assert contents(tmp_path) == before


@pytest.mark.slow
@pytest.mark.skipif(usable_cores() < 2, reason="there is one core only")
def test_diverging_job_is_marked_and_the_good_one_beside_it_is_kept(tmp_path: Path) -> None:
    write_params(tmp_path, {**PIXELS_ONLY, "engine.parallel_jobs": 2, "engine.threads_per_job": 1})
    write_arrays(tmp_path / "arrays")
    (tmp_path / "driver.py").write_text(GOOD_AND_BAD)
    reason = r"tiny/reckless seed 0: the loss is (nan|inf) in epoch \d; try a smaller learning_rate"
    for finished, counted in ((0, "[2/2]"), (1, "1 of 2 jobs were finished before")):
        done = subprocess.run(
            [sys.executable, "driver.py"], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        last = done.stderr.splitlines()[-1]
        assert re.fullmatch(f"error: 1 of 2 jobs failed, the others are kept: {reason}", last)
        assert counted in done.stderr
        assert done.stderr.count("tiny/baseline seed 0: 2 epochs in") == 1 - finished
        (mark,) = tmp_path.glob(".jobs/*/failed.json")
        assert re.fullmatch(reason, read_json(mark)["reason"])
        (result,) = tmp_path.glob(".jobs/*/result")
        assert [path.name for path in result.parent.iterdir()] == ["result"]

    # The train stage of the good variant takes its result from the store.
    done = run_stage(tmp_path, *TRAIN)
    assert (done.returncode, done.stderr) == (0, "1 of 1 jobs were finished before\n")
