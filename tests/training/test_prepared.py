"""Networks that several seeds share: the same bits as networks of their own."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from convnet.features.extraction import extract_features
from convnet.jobs.gather import gather
from convnet.jobs.job import Job, UsedBackbone
from convnet.jobs.planning import plan_jobs
from convnet.jobs.store import facts
from convnet.training import prepared
from convnet.training.train import train_job
from helpers import tiny_study as tiny

tiny.start_keras()

# Whatever keeps a state from step to step, or makes a part of the step.
PIXELS: dict[str, dict[str, Any]] = {
    "drawn": {"augmentation": True, "dropout": 0.5},
    "averaging": {"ema": 0.9},
    "l2_mixup": {"l2": 0.1, "mixup": 0.4},
    "decaying": {"weight_decay": 1.0, "cutmix": 0.5},
    "normalised": {"lean": True},
    "smoothed": {"spatial_dropout": 0.3, "label_smoothing": 0.2},
    "stopping": {"early_stopping": 1, "learning_rate_schedule": "cosine"},
    "adam": {"optimizer": "adam"},
}
HEADS: dict[str, dict[str, Any]] = {
    "heads": {"transfer": True, "dropout": 0.5},
    "averaged": {"transfer": True, "pooling": "average", "ema": 0.9},
    "probed": {"transfer": True, "pooling": "average", "probe": True},
    "on_pixels": {"transfer": True, "augmentation": True},
}
CHANGES: dict[str, Any] = {
    "run.seeds": [0, 1],
    "run.pixel_variants": [*PIXELS],
    "run.feature_variants": ["transfer", *HEADS],
    "training.learning_rate": 0.01,
    "training.epochs": 3,
    "transfer.fresh_views": True,  # `on_pixels` draws new ones in every epoch
    **{f"variants.{name}": variant for name, variant in (PIXELS | HEADS).items()},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("prepared")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        arrays, weights = tiny.write_arrays(path / "arrays"), tiny.write_backbone(path / "backbone") / "source.keras"
        settings = tiny.params(path, CHANGES).backbones["compact"]
        used = UsedBackbone("compact", settings, weights, "block2_pool")
        extract_features(arrays, tiny.IMAGE_SIZE, used, path / "features")
        yield path


def jobs_of(folder: Path, variant: str, start: Path | None = None) -> list[Job]:
    arrays, features, backbone = folder / "arrays", folder / "features", folder / "backbone"
    return plan_jobs(tiny.params(folder, CHANGES), variant, arrays, features=features, backbone=backbone, start=start)


def result_of(job: Job) -> tuple[bytes, ...]:
    """Train a job anew, and return all that it gives but the times."""
    shutil.rmtree(job.folder, ignore_errors=True)
    train_job(job)
    numbers = {name: fact for name, fact in facts(job).items() if name != "model_sha256"}
    return *((job.result / name).read_bytes() for name in ("history.json", "predictions.npz")), repr(numbers).encode()


def compare(jobs: list[Job]) -> None:
    prepared.forget()
    alone = result_of(jobs[1])
    prepared.forget()
    first = result_of(jobs[0])
    (kept,) = prepared._kept.values()
    shared = result_of(jobs[1])
    assert [*prepared._kept.values()] == [kept]  # nothing was prepared for the second seed
    assert shared == alone
    assert first != alone
    assert result_of(jobs[0]) == first


@pytest.mark.parametrize("variant", [*PIXELS, *HEADS])
def test_a_second_seed_gets_the_bits_of_a_process_of_its_own(folder: Path, variant: str) -> None:
    compare(jobs_of(folder, variant))


def test_so_does_fine_tuning(folder: Path) -> None:
    starts = jobs_of(folder, "transfer")
    for job in starts:
        if not job.done:
            train_job(job)
    gather(starts, folder / "start")
    compare(jobs_of(folder, "fine_tune", folder / "start"))


def test_other_recipes_are_prepared_apart_and_the_oldest_goes_first(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared.forget()
    for variant in ("averaging", "normalised", "averaging"):
        result_of(jobs_of(folder, variant)[0])
    assert len(prepared._kept) == 2
    monkeypatch.setattr(prepared, "MOST_BYTES", 0)
    last = [*prepared._kept.values()][-1]
    result_of(jobs_of(folder, "averaging")[0])
    assert [*prepared._kept.values()] == [last]
