import errno
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from convnet.data.division import Division
from convnet.engine.job_process import stored
from convnet.engine.ray_cluster.job_files import pack_result, store_result
from convnet.engine.ray_cluster.worker import package_digest
from convnet.jobs import job as jobs
from convnet.jobs import store
from convnet.jobs.job import CODE, CODE_OF_DERIVED, Job, UsedBackbone, code_digest, library_versions, source_digest
from convnet.jobs.planning import plan_jobs
from convnet.jobs.store import damaged_file, facts, result_folder, timing
from convnet.params.recipe import resolve
from convnet.pipeline.code_digests import PACKAGE, needed_files
from convnet.system.errors import UserError
from convnet.system.files import file_digest, write_json
from helpers import tiny_study as tiny

# What training needs besides the code that decides a result, and why a change of it changes none.
DECIDES_NOTHING = {
    "jobs": "is the key, or a file format; checkpoints count apart",
    "params": "its values are in the key",
    "system": "words and files",
    "data": "its output is in the data digest; splits count apart",
    "evaluation": "forms of results; the code of derived jobs counts apart",
}


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return tiny.pixel_jobs(tmp_path, "augmented")[0]


def with_recipe(job: Job, **changes: Any) -> Job:
    return replace(job, recipe=type(job.recipe)(**{**dict(job.recipe), **changes}))


def with_fit(job: Job, **changes: Any) -> Job:
    return with_recipe(job, fit=job.recipe.fit.model_copy(update=changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"classes": ("blue", "red")},
        {"data_digest": "other"},
        {"threads": 1},
        {"division": Division("resplit")},
        {"share": 0.5},
        {"start_digest": "other"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_key_changes_with_what_decides_the_result(job: Job, changes: dict[str, Any]) -> None:
    assert replace(job, **changes).key != job.key


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "adam"},
        {"learning_rate": 0.0011},
        {"learning_rate_schedule": "cosine"},
        {"batch_size": 9},
        {"epochs": 3},
        {"labels": "one_hot"},
        {"precision": "mixed_bfloat16"},
        {"early_stopping": 2},
        {"class_weights": True},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_key_changes_with_how_the_model_is_fitted(job: Job, changes: dict[str, Any]) -> None:
    assert set(job.recipe.fit.model_fields_set) >= set(changes)
    assert with_fit(job, **changes).key != job.key


@pytest.mark.parametrize("changes", [{"image_size": (16, 17)}, {"dropout": 0.1}, {"augmentation": None}], ids=str)
def test_key_changes_with_the_rest_of_the_recipe(job: Job, changes: dict[str, Any]) -> None:
    assert with_recipe(job, **changes).key != job.key


@pytest.fixture
def backbone_jobs(tmp_path: Path, job: Job) -> dict[str, Job]:
    """A job of each kind on a backbone, by variant."""
    params = tiny.params(tmp_path)
    used = UsedBackbone("compact", params.backbones["compact"], tmp_path / "source.keras", "block2_pool")
    return {
        variant: replace(job, recipe=resolve(params, "tiny", variant), backbone=used)
        for variant in ("transfer", "fine_tune")
    }


@pytest.mark.parametrize(
    ("variant", "changes"),
    [
        ("transfer", {"kind": "pixels"}),
        ("transfer", {"dense": 17}),
        ("transfer", {"dropout": 0.1}),
        ("transfer", {"last_layer": "block1_pool"}),
        ("transfer", {"pooling": "average"}),
        ("transfer", {"augmented_views": 2}),
        ("fine_tune", {"last_layer": "block1_pool"}),
        ("fine_tune", {"trainable_from": "block1_conv"}),
    ],
    ids=str,
)
def test_key_changes_with_the_recipe_on_a_backbone(
    backbone_jobs: dict[str, Job], variant: str, changes: dict[str, Any]
) -> None:
    job = backbone_jobs[variant]
    assert with_recipe(job, **changes).key != job.key


@pytest.mark.parametrize("knob", ["rotation", "width_shift", "height_shift", "shear", "zoom"])
def test_key_changes_with_every_knob_of_augmentation(job: Job, knob: str) -> None:
    assert job.recipe.augmentation is not None
    other = job.recipe.augmentation.model_copy(update={knob: 0.125})
    assert with_recipe(job, augmentation=other).key != job.key


def test_key_changes_with_the_network(job: Job) -> None:
    wider = job.recipe.network.model_copy(update={"dense": 17})
    deeper = job.recipe.network.model_copy(update={"filters": (4, 8, 8)})
    assert len({job.key, with_recipe(job, network=wider).key, with_recipe(job, network=deeper).key}) == 3


@pytest.mark.parametrize(
    "setting", [{"input_range": (0.0, 1.0)}, {"alpha": 0.5}, {"architecture": "MobileNetV2"}], ids=str
)
def test_key_changes_with_how_the_backbone_is_used(tmp_path: Path, job: Job, setting: dict[str, Any]) -> None:
    settings = tiny.params(tmp_path).backbones["compact"]
    used = UsedBackbone("compact", settings, tmp_path / "source.keras", "block2_pool")
    other = replace(used, settings=settings.model_copy(update=setting))
    assert len({replace(job, backbone=one).key for one in (used, other)}) == 2


@pytest.mark.parametrize("variant", ["transfer", "fine_tune"])
def test_key_ignores_names_and_folders(backbone_jobs: dict[str, Job], variant: str) -> None:
    job = backbone_jobs[variant]
    assert job.backbone is not None
    start = {"start": "mine"} if variant == "fine_tune" else {}
    renamed = with_recipe(job, dataset="pets", variant="mine", backbone="mine", **start)
    words = {"seen": "other words", "explain_layers": (), "smallest_image": 8}
    settings = job.backbone.settings.model_copy(update=words)
    moved = replace(
        renamed,
        arrays=Path("elsewhere"),
        features=Path("elsewhere"),
        start_model=Path("elsewhere"),
        backbone=replace(job.backbone, name="mine", settings=settings, weights=Path("elsewhere")),
        seconds_between_checkpoints=60.0,
    )
    assert moved.key == job.key
    assert job.label == f"tiny/{variant} seed 0"


def test_key_of_equal_settings_is_the_same_in_any_folder(tmp_path: Path) -> None:
    one, other = (tiny.pixel_jobs(tmp_path / name)[0] for name in ("one", "other"))
    assert one.key == other.key
    assert len(one.key) == 64


def test_seeds_and_checkpoints_are_no_part_of_each_other(tmp_path: Path) -> None:
    arrays = tiny.write_arrays(tmp_path / "arrays")
    keys = []
    for changes in ({}, {"run.seeds": [5, 0]}, {"checkpoints.seconds_between": 60.0}, {"explain.images": 1}):
        jobs_of = {job.seed: job for job in plan_jobs(tiny.params(tmp_path, changes), "baseline", arrays)}
        keys.append(jobs_of[0].key)
    assert len(set(keys)) == 1


def test_code_in_the_key_is_what_training_imports() -> None:
    imported = {path.relative_to(PACKAGE) for path in needed_files(PACKAGE / "training" / "train.py")}
    decides = {path for path in imported if any(path.is_relative_to(name) for name in (*CODE, *CODE_OF_DERIVED))}
    assert {path.parts[0] for path in imported - decides} == set(DECIDES_NOTHING)
    assert {path.parts[0] for path in decides} == {name.split("/")[0] for name in (*CODE, *CODE_OF_DERIVED)}


@pytest.fixture
def code_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the package that the digest is taken of instead."""
    copy = tmp_path / "package"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(jobs, "PACKAGE", copy)
    yield copy
    code_digest.cache_clear()


def test_code_digest_changes_with_every_deciding_module(code_copy: Path) -> None:
    code_digest.cache_clear()
    digests = {code_digest()}
    files = [path for name in CODE for path in (code_copy / name).rglob("*.py")] + [
        code_copy / name for name in CODE if name.endswith(".py")
    ]
    for path in files:
        with path.open("a") as file:
            file.write("# a change\n")
        code_digest.cache_clear()
        digests.add(code_digest())
    assert len(digests) == len(files) + 1


def test_new_module_in_a_deciding_folder_changes_the_code_digest(code_copy: Path) -> None:
    code_digest.cache_clear()
    before = code_digest()
    (code_copy / "training" / "new.py").write_text("NEW = 1\n")
    code_digest.cache_clear()
    assert code_digest() != before


@pytest.mark.parametrize("name", [*CODE, "rendering", "features/extraction.py"])
def test_digested_sources_exist(name: str) -> None:
    assert len(source_digest([name])) == 64


def test_source_without_files_is_an_error(code_copy: Path) -> None:
    (code_copy / "empty").mkdir()
    for name in ("empty", "gone.py"):
        with pytest.raises(FileNotFoundError, match=name):
            source_digest([name])


@pytest.mark.parametrize("name", ["rendering/animals.py", "rendering/scene.py", "features/extraction.py"])
def test_changed_source_changes_its_digest(code_copy: Path, name: str) -> None:
    digested = name if name.startswith("features") else "rendering"
    before = source_digest([digested])
    with (code_copy / name).open("a") as file:
        file.write("# a change\n")
    assert source_digest([digested]) != before


def test_digest_of_the_package_covers_every_folder(code_copy: Path) -> None:
    package_digest.cache_clear()
    before = package_digest(code_copy)
    for folder in ("models", "engine", "params", "system"):
        changed = next(path for path in sorted((code_copy / folder).glob("*.py")))
        changed.write_text(changed.read_text() + "# a change\n")
        package_digest.cache_clear()
        after = package_digest(code_copy)
        assert after != before
        before = after


def test_code_digest_is_the_same_wherever_the_code_lies(code_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code_digest.cache_clear()
    there = code_digest()
    monkeypatch.undo()
    code_digest.cache_clear()
    assert code_digest() == there


def test_versions_of_the_libraries_are_those_installed() -> None:
    import numpy as np

    found = library_versions()
    assert found["numpy"] == np.__version__
    assert set(found) == {"keras", "numpy", "tensorflow", "backend"}
    assert found["backend"] == os.environ.get("KERAS_BACKEND", "tensorflow")


def fill(folder: Path, epochs: int = 2) -> None:
    """Write what a result consists of, as far as the store looks at it."""
    write_json(folder / "facts.json", {"epochs": epochs})
    write_json(folder / "timing.json", {"seconds_training": 1.5})
    (folder / "model.keras").write_bytes(bytes(range(256)) * 40)
    (folder / "predictions.npz").write_bytes(b"probabilities")


def test_result_is_whole_or_absent(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def fail() -> None:
        with result_folder(job) as folder:
            fill(folder)
            raise RuntimeError("power")

    with pytest.raises(RuntimeError, match="power"):
        fail()
    assert not job.done
    assert list(job.folder.iterdir()) == []
    with result_folder(job) as folder:
        fill(folder)
        assert not job.done
    assert job.done
    assert [path.name for path in job.folder.iterdir()] == ["result"]


def test_new_result_replaces_the_old_and_what_a_killed_process_left(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (job.folder / "result-1.partial").mkdir(parents=True)
    for epochs in (1, 2):
        with result_folder(job) as folder:
            fill(folder, epochs)
    assert facts(job) == {"epochs": 2}
    assert [path.name for path in job.folder.iterdir()] == ["result"]


@pytest.fixture
def finished(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    monkeypatch.chdir(tmp_path)
    with result_folder(job) as folder:
        fill(folder)
    return job


def test_whole_result_is_taken_and_its_digests_are_no_part_of_what_is_gathered(
    finished: Job, capsys: pytest.CaptureFixture[str]
) -> None:
    assert stored(finished)
    assert capsys.readouterr().err == ""
    assert timing(finished) == {"seconds_training": 1.5}
    assert facts(finished) == {"epochs": 2}


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "one bit": lambda content: content[:20] + bytes([content[20] ^ 1]) + content[21:] if len(content) > 20 else b"?",
    "another file": lambda content: b"[]",
}


@pytest.mark.parametrize("name", ["facts.json", "model.keras", "predictions.npz", "timing.json"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_result_with_a_damaged_file_is_dropped_in_one_line(
    finished: Job, capsys: pytest.CaptureFixture[str], name: str, damage: str
) -> None:
    path = finished.result / name
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    assert not stored(finished)
    said = f"{path} is missing or damaged: {finished.label} is trained again\n"
    assert capsys.readouterr().err == said
    assert list(finished.folder.iterdir()) == []


def test_digests_travel_with_a_result(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the Ray engine brings it from another machine."""
    for machine in ("there", "here"):
        (tmp_path / machine).mkdir()
    monkeypatch.chdir(tmp_path / "there")
    with result_folder(job) as folder:
        fill(folder)
        write_json(folder / "history.json", [])
        write_json(folder / "facts.json", {"model_sha256": file_digest(folder / "model.keras")})
    packed = pack_result(job)
    monkeypatch.chdir(tmp_path / "here")
    store_result(job, packed)
    assert stored(job)
    (job.result / "history.json").write_text("[1]")
    assert damaged_file(job) == job.result / "history.json"


@pytest.mark.parametrize("name", ["model.keras", "predictions.npz", "timing.json"])
def test_result_with_a_missing_file_is_dropped(finished: Job, name: str) -> None:
    (finished.result / name).unlink()
    assert not stored(finished)
    assert not finished.result.exists()


def test_dropping_a_result_leaves_other_names_of_its_files_alone(finished: Job, tmp_path: Path) -> None:
    """The pipeline's output and DVC's cache may be the same file under other names."""
    os.link(finished.result / "model.keras", tmp_path / "output.keras")
    (finished.result / "predictions.npz").unlink()
    assert not stored(finished)
    assert (tmp_path / "output.keras").read_bytes() == bytes(range(256)) * 40


def test_result_that_cannot_be_read_for_now_is_kept(finished: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_many(path: Path) -> str:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(store, "file_digest", too_many)
        with pytest.raises(UserError, match=r"cannot be read \(Too many open files\): run the same command again, or"):
            stored(finished)
    assert damaged_file(finished) is None
    assert stored(finished)
