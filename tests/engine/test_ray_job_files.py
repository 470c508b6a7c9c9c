import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import convnet
from convnet.data.arrays import load_arrays
from convnet.engine.job_log import JobLog
from convnet.engine.ray_cluster.driver import run_on_ray
from convnet.engine.ray_cluster.job_files import RESULT_FILES, digest_of_all, pack_result, receive, ship, store_result
from convnet.engine.ray_cluster.worker import cache_folder, difference, identity, package_digest
from convnet.jobs.job import STORE, Job
from convnet.jobs.planning import plan_jobs
from convnet.system.errors import UserError
from convnet.system.files import file_digest, read_json, write_json
from helpers import tiny_study as tiny


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
        write_json(job.result / name, {})
    write_json(job.result / "facts.json", {"model_sha256": file_digest(job.result / "model.keras"), "epochs": 2})
    write_json(job.result / "timing.json", {"images_per_second": 1.0, "seconds_training": 1.0})


def transfer_job(folder: Path) -> Job:
    """Plan a job on features whose files hold what nobody reads here."""
    arrays = tiny.write_arrays(folder / "arrays")
    for name in ("train.npy", "train_views.npy"):
        (folder / "features").mkdir(exist_ok=True)
        (folder / "features" / name).write_bytes(name.encode() * 100)
    write_json(folder / "features" / "features.json", {"digest": "of the features"})
    weights = folder / "backbone" / "source.keras"
    weights.parent.mkdir(exist_ok=True)
    weights.write_bytes(b"weights of the backbone")
    write_json(weights.with_name("backbone.json"), {"file": weights.name, "sha256": file_digest(weights)})
    (job,) = plan_jobs(
        tiny.params(folder), "transfer", arrays, features=folder / "features", backbone=folder / "backbone"
    )
    return job


def fine_tune_job(folder: Path) -> Job:
    """Plan a job that goes on from a model which nobody loads here."""
    transfer_job(folder)
    (job,) = plan_jobs(tiny.params(folder), "fine_tune", folder / "arrays", backbone=folder / "backbone")
    (folder / "seed-0.keras").write_bytes(b"the model to start from")
    return replace(job, start_model=folder / "seed-0.keras", start_digest="of its weights")


def received(job: Job, folder: Path) -> Job:
    """Send a job to `folder` / there."""
    shipped, places = ship(job)
    assert str(folder) not in repr(shipped)
    there = receive(shipped, folder / "cache", folder / "there", Sender(places).fetch)
    assert there.key == shipped.key == job.key
    return there


def test_received_job_has_the_same_key_and_the_same_arrays(job: Job, tmp_path: Path) -> None:
    there = received(job, tmp_path)
    assert there.arrays == tmp_path / "there" / "arrays"
    for split in ("train", "validation", "test"):
        sent, arrived = load_arrays(job.arrays, split), load_arrays(there.arrays, split)
        np.testing.assert_array_equal(sent.images, arrived.images)
        np.testing.assert_array_equal(sent.labels, arrived.labels)
        assert sent.members == arrived.members


def test_transfer_job_takes_its_features_and_the_backbone_along(tmp_path: Path) -> None:
    job = transfer_job(tmp_path)
    there = received(job, tmp_path)
    assert there.features == tmp_path / "there" / "features"
    assert contents(there.features) == contents(tmp_path / "features")
    assert there.backbone == replace(job.backbone, weights=tmp_path / "there" / "backbone" / "source.keras")
    assert there.backbone.weights.read_bytes() == b"weights of the backbone"
    assert there.start_model is None


def test_fine_tuning_takes_the_model_it_starts_from_along_and_no_features(tmp_path: Path) -> None:
    job = replace(fine_tune_job(tmp_path), features=tmp_path / "features")
    there = received(job, tmp_path)
    assert there.start_model == tmp_path / "there" / "start" / "seed-0.keras"
    assert there.start_model.read_bytes() == b"the model to start from"
    assert there.backbone.weights.read_bytes() == b"weights of the backbone"
    assert there.features is None
    assert sorted(path.name for path in (tmp_path / "there").iterdir()) == ["arrays", "backbone", "start"]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


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
    ("added", "removed", "fault"),
    [("../../escaped", [], r"\['../../escaped'\]"), (None, ["history.json"], r"\['history.json'\]")],
)
def test_result_of_other_files_is_not_stored(
    job: Job, tmp_path: Path, added: str | None, removed: list[str], fault: str
) -> None:
    finish(job)
    for name in removed:
        (job.result / name).unlink()
    packed = pack_result(job)
    if added:
        files = {**packed.files, added: b""}
        packed = replace(packed, files=files, digest=digest_of_all(files))
    shutil.rmtree(STORE)
    with pytest.raises(UserError, match=f"its result was not stored, because of unknown or missing files: {fault}"):
        store_result(job, packed)
    assert not (tmp_path / "escaped").exists()
    assert not STORE.exists()


def test_result_that_changed_on_the_way_is_refused_and_nothing_is_stored(job: Job) -> None:
    finish(job)
    packed = pack_result(job)
    shutil.rmtree(STORE)
    for name in RESULT_FILES:
        damaged = replace(packed, files={**packed.files, name: b"other"})
        with pytest.raises(UserError, match="its result did not arrive as it was sent; run the same command again"):
            store_result(job, damaged)
    assert not STORE.exists()


def test_difference_names_what_is_other() -> None:
    here = identity()
    assert difference(here, here) is None
    assert "its convnet is another" in str(difference(here, here | {"convnet": "0"}))
    assert "it has keras 2.0 instead of" in str(difference(here, here | {"keras": "2.0"}))
    without = {name: version for name, version in here.items() if name != "numpy"}
    assert "it has numpy missing instead of" in str(difference(here, without))


def test_every_source_file_of_the_package_counts(tmp_path: Path) -> None:
    package = tmp_path / "convnet"
    shutil.copytree(Path(convnet.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    assert package_digest(package) == identity()["convnet"]
    shutil.copytree(package, tmp_path / "other")
    with (tmp_path / "other" / "new_module.py").open("a") as file:  # no part of a job's key
        file.write("\n")
    assert package_digest(tmp_path / "other") != package_digest(package)


def test_cache_stays_where_it_was_when_a_job_changes_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONVNET_CACHE", "kept")
    assert cache_folder() == tmp_path / "kept"
    monkeypatch.delenv("CONVNET_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "elsewhere")
    assert cache_folder() == tmp_path / "elsewhere" / "convnet"


class OneMachine:
    """Stands for the module `ray`: a cluster of this process alone, which runs at once what it is given."""

    exceptions = SimpleNamespace(
        RayTaskError=type("TaskError", (Exception,), {}), RayError=type("Lost", (Exception,), {})
    )

    def init(self, **options: Any) -> None: ...

    def shutdown(self) -> None: ...

    def nodes(self) -> list[dict[str, Any]]:
        return [{"NodeID": "one", "Alive": True, "Resources": self.cluster_resources()}]

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 2.0}

    def get_runtime_context(self) -> Any:
        return SimpleNamespace(get_node_id=lambda: "one", get_accelerator_ids=lambda: {})

    def put(self, value: Any) -> Any:
        return lambda: value

    def get(self, reference: Any) -> Any:
        return reference()

    def wait(self, references: list[Any], timeout: float) -> tuple[list[Any], list[Any]]:
        return references, []

    def remote(self, **options: Any) -> Callable[[Callable[..., Any]], Any]:
        def task(function: Callable[..., Any]) -> Any:
            return SimpleNamespace(
                options=lambda **_: SimpleNamespace(remote=lambda *given: self.put(at_home(function, given)))
            )

        return task


def at_home(function: Callable[..., Any], given: tuple[Any, ...]) -> Any:
    """Run what a worker runs, and come back from the folder that it goes to."""
    before = Path.cwd()
    try:
        return function(*given)
    finally:
        os.chdir(before)


def test_unforeseen_failure_brings_its_traceback_home(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(job: Job, **_: Any) -> None:
        raise RuntimeError("out of luck")

    def train(by: Callable[..., None]) -> list[str]:
        training = SimpleNamespace(train_job=by, TrainingFailedError=UserError)
        monkeypatch.setitem(sys.modules, "convnet.training.train", training)
        log = JobLog(1, 0)
        run_on_ray([job], tiny.params(tmp_path, {"engine.kind": "ray"}).engine, log)
        return log.failures

    monkeypatch.setitem(sys.modules, "ray", OneMachine())
    device = SimpleNamespace(configure_device=lambda **_: SimpleNamespace(kind="gpu"), machine_facts=dict, say_once=str)
    monkeypatch.setitem(sys.modules, "convnet.backend.device", device)
    monkeypatch.setenv("CONVNET_CACHE", "there")
    for name in ("CUDA_VISIBLE_DEVICES", "RAY_USAGE_STATS_ENABLED"):
        monkeypatch.setenv(name, "0")  # what is changed is put back
    (failure,) = train(fail)
    place = job.folder / "traceback.txt"
    assert failure == f"{job.label}: RuntimeError: out of luck (more in {place})"
    assert "RuntimeError: out of luck" in place.read_text()
    assert "in fail" in place.read_text()
    assert place.read_bytes() == (tmp_path / "there" / "work" / place).read_bytes()
    assert read_json(job.folder / "failed.json")["reason"] == failure
    assert train(lambda job, **_: finish(job)) == []
    assert [path.name for path in job.folder.iterdir()] == ["result"], "the failure is forgotten"
