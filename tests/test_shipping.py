import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import tiny

from convnet.arrays import load_arrays
from convnet.errors import UserError
from convnet.jobs import Job
from convnet.ray_worker import difference, identity
from convnet.shipping import RESULT_FILES, pack_result, receive, ship, store_result
from convnet.storage import file_digest, write_json


@dataclass
class Sender:
    """Gives files by digest, in pieces of 1000 bytes, and counts them."""

    places: dict[str, Path]
    fetched: list[str] = field(default_factory=list)

    def fetch(self, digest: str) -> Iterator[bytes]:
        self.fetched.append(digest)
        content = self.places[digest].read_bytes()
        for start in range(0, len(content), 1000):
            yield content[start : start + 1000]


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    monkeypatch.chdir(tmp_path)
    (job,) = tiny.pixel_jobs(tmp_path)
    return job


def finish(job: Job) -> None:
    """Write a result as training would, as far as its transport goes."""
    job.result.mkdir(parents=True)
    (job.result / "model.keras").write_bytes(b"weights")
    for name in RESULT_FILES - {"model.keras"}:
        write_json(job.result / name, {"model_sha256": file_digest(job.result / "model.keras")})


def pack(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def test_received_job_has_the_same_key_and_the_same_arrays(job: Job, tmp_path: Path) -> None:
    shipped, places = ship(job)
    assert str(tmp_path) not in repr(shipped)
    received = receive(shipped, tmp_path / "cache", tmp_path / "there", Sender(places).fetch)
    assert received.key == shipped.key == job.key
    assert received.arrays == tmp_path / "there" / "arrays"
    for split in ("train", "validation", "test"):
        here, there = load_arrays(job.arrays, split), load_arrays(received.arrays, split)
        np.testing.assert_array_equal(here.images, there.images)
        np.testing.assert_array_equal(here.labels, there.labels)
        assert here.members == there.members


def test_file_is_fetched_once_per_machine_and_again_if_it_was_damaged(job: Job, tmp_path: Path) -> None:
    shipped, places = ship(job)
    sender = Sender(places)
    receive(shipped, tmp_path / "cache", tmp_path / "first", sender.fetch)
    assert sorted(sender.fetched) == sorted(places)
    receive(shipped, tmp_path / "cache", tmp_path / "second", sender.fetch)
    assert len(sender.fetched) == len(places)
    damaged = next(iter(places))
    (tmp_path / "cache" / damaged).write_bytes(b"other")
    receive(shipped, tmp_path / "cache", tmp_path / "third", sender.fetch)
    assert sender.fetched[len(places) :] == [damaged]


def test_file_that_changed_on_the_way_is_refused(job: Job, tmp_path: Path) -> None:
    shipped, _ = ship(job)
    with pytest.raises(UserError, match=r"arrays/dataset\.json did not arrive as it was sent"):
        receive(shipped, tmp_path / "cache", tmp_path / "there", lambda digest: [b"something else"])
    assert [path.name for path in (tmp_path / "cache").iterdir()] == []


def test_result_comes_home_whole(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finish(job)
    packed = pack_result(job)
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "home")
    assert not job.done
    for _ in range(2):  # the second time another process was first
        store_result(job, packed)
        assert {path.name for path in job.result.iterdir()} == RESULT_FILES
        assert [path.name for path in job.folder.iterdir()] == ["result"]


@pytest.mark.parametrize(
    ("files", "fault"),
    [
        ({"../../escaped": b""}, r"arrived with '../../escaped' in it"),
        ({"facts.json": b"{}"}, "arrived without history.json, model.keras, predictions.npz, timing.json"),
        (dict.fromkeys(RESULT_FILES, b'{"model_sha256": "0"}'), "its model arrived damaged"),
    ],
    ids=["a foreign file", "files missing", "a damaged model"],
)
def test_result_that_is_none_is_not_stored(job: Job, tmp_path: Path, files: dict[str, bytes], fault: str) -> None:
    with pytest.raises(UserError, match=fault):
        store_result(job, pack(files))
    assert not job.done
    assert not (tmp_path / "escaped").exists()
    assert list(job.folder.iterdir()) == []


def test_difference_names_what_is_other() -> None:
    here = identity()
    assert difference(here, here) is None
    assert "its convnet is another" in str(difference(here, here | {"convnet": "0"}))
    assert "it has keras 2.0 instead of" in str(difference(here, here | {"keras": "2.0"}))
    without = {name: version for name, version in here.items() if name != "numpy"}
    assert "it has numpy missing instead of" in str(difference(here, without))
