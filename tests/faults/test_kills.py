"""A job that is killed at any moment and started again ends with the same bits as one that was not."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from convnet.jobs.feature_plan import plan_features
from convnet.system.processes import usable_cores
from helpers import tiny_study as tiny

RANDOM_KILLS = 20
KILLS_OF_TWO = 2

# Moments by the audit events of the interpreter: event, text in its arguments, how-manieth time.
MOMENTS = {
    "before the first state is named": ("os.rename", "checkpoint-00001", 1),
    "while a state is written": ("open", ".checkpoint-00004", 2),
    "between a state and forgetting the oldest": ("os.remove", "/checkpoint-00003", 1),
    "while the model is written": ("open", "partial/model.keras", 1),
    "before the result is named": ("os.rename", "/result", 1),
    "between the result and forgetting the states": ("os.remove", "/checkpoint-00009", 1),
    "in the second job": ("os.rename", "checkpoint-00002", 2),
    "while results are gathered": ("os.link", "seed-1.keras", 1),
}


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.unbroken(tmp_path_factory.getbasetemp())


def states(folder: Path) -> list[Path]:
    return sorted((folder / ".jobs").glob("*/checkpoint-*.npz"))


def assert_equal_results(folder: Path, unbroken: Path) -> None:
    for name in ("history.csv", "predictions.npz"):
        assert (folder / "models" / "hard" / name).read_bytes() == (unbroken / "models" / "hard" / name).read_bytes()
    ours, theirs = (json.loads((path / "models" / "hard" / "job.json").read_text()) for path in (folder, unbroken))
    for job in (ours, theirs):
        for seed in job["seeds"]:
            seed["model_sha256"] = None  # the archive holds dates
        for name in ("seed-0.keras", "seed-1.keras", "timing.json"):
            job["files"][name] = None
    assert ours == theirs
    assert [path.name for path in (folder / ".jobs").glob("*/*")] == ["result", "result"]


def test_killed_job_with_a_damaged_state_goes_on_from_the_epoch_before_to_the_same_bits(
    unbroken: Path, tmp_path: Path
) -> None:
    """Dropout, augmentation, early stopping and cosine schedule; two processes against one."""
    folder = tiny.hard_study(tmp_path)
    tiny.train_hard(folder, kill_at=("os.rename", "checkpoint-00006", 1))
    assert [path.name for path in states(folder)] == ["checkpoint-00004.npz", "checkpoint-00005.npz"]
    assert not (folder / "models").exists()
    newest = states(folder)[-1]
    newest.write_bytes(newest.read_bytes()[:-200])
    done = tiny.train_hard(folder)
    assert done.returncode == 0, done.stderr
    place = newest.relative_to(folder)
    assert f"{place} is damaged (its checksum does not match): taking the one before it" in done.stderr
    advice = "its process was killed: resuming after its checkpoint; if the memory ran out, set batch_size to 4"
    assert done.stderr.count("was killed") == done.stderr.count(f"tiny/hard seed 0: {advice}\n") == 1
    assert_equal_results(folder, unbroken)


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_job_killed_at_a_chosen_moment_ends_with_the_same_bits(unbroken: Path, tmp_path: Path, moment: str) -> None:
    folder = tiny.hard_study(tmp_path)
    tiny.train_hard(folder, kill_at=MOMENTS[moment])
    done = tiny.train_hard(folder)
    assert done.returncode == 0, done.stderr
    assert "damaged" not in done.stderr
    assert_equal_results(folder, unbroken)


PLATEAU_MOMENTS = {
    "while the first epoch of the cooldown is saved": ("os.rename", "checkpoint-00009", 1),
    "between the cooldown and the result": ("open", "partial/model.keras", 1),
    "before the second job returns to its first epoch": ("os.rename", "checkpoint-00003", 2),
    "while the second job cools down": ("os.rename", "checkpoint-00004", 2),
}


@pytest.fixture(scope="module")
def unbroken_plateau(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tiny.hard_study(tmp_path_factory.mktemp("plateau"), tiny.PLATEAU)
    done = tiny.train_hard(folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("moment", PLATEAU_MOMENTS)
def test_training_to_a_plateau_killed_at_a_chosen_moment_ends_with_the_same_bits(
    unbroken_plateau: Path, tmp_path: Path, moment: str
) -> None:
    folder = tiny.hard_study(tmp_path, tiny.PLATEAU)
    tiny.train_hard(folder, kill_at=PLATEAU_MOMENTS[moment])
    done = tiny.train_hard(folder)
    assert done.returncode == 0, done.stderr
    assert "damaged" not in done.stderr
    assert_equal_results(folder, unbroken_plateau)


@pytest.mark.slow
def test_job_with_remedies_killed_at_a_chosen_moment_ends_with_the_same_bits(tmp_path: Path) -> None:
    """Mixed images, erased boxes, averaged weights and dropped maps, to a plateau that returns to its best epoch."""
    remedies = {"mixup": 0.4, "erasing": 0.3, "brightness": 0.2, "ema": 0.9, "spatial_dropout": 0.2, "l2": 0.001}
    study = {**tiny.PLATEAU, "variants.hard": {"augmentation": True, "dropout": 0.5} | remedies}
    whole, folder = (tiny.hard_study(tmp_path / name, study) for name in ("whole", "killed"))
    for name in ("checkpoint-00003", "checkpoint-00004"):
        tiny.train_hard(folder, kill_at=("os.rename", name, 1))
    for place in (folder, whole):
        done = tiny.train_hard(place)
        assert done.returncode == 0, done.stderr
    assert_equal_results(folder, whole)


# By variant, the moment at which its fourth checkpoint is written; the head trains first.
TUNED = {"transfer": ("open", ".checkpoint-00004", 2), "fine_tune": ("open", ".checkpoint-00004", 4)}


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a head was trained on features, and the network then fine-tuned, without interruption."""
    from convnet.features.cache import bring_features

    tiny.start_keras()
    folder = tmp_path_factory.mktemp("tuned")
    epochs = {"transfer.epochs": 5, "fine_tune.epochs": 5}
    params = tiny.params(folder, {"run.pixel_variants": [], "engine.parallel_jobs": 1, **epochs})
    tiny.write_arrays(folder / "arrays")
    tiny.write_backbone(folder / "backbone")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        paths = (folder / name for name in ("arrays", "backbone", "features"))
        bring_features(params, plan_features(params, "tiny"), *paths)
    done = tiny.run_stage(folder, *tiny.TRAIN)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("variant", TUNED)
def test_transfer_killed_while_a_checkpoint_is_written_ends_with_the_same_bits(
    tuned: Path, tmp_path: Path, variant: str
) -> None:
    folder = Path(shutil.copytree(tuned, tmp_path / "killed"))
    shutil.rmtree(folder / ".jobs")
    shutil.rmtree(folder / "models")
    tiny.run_stage(folder, *tiny.TRAIN, kill_at=TUNED[variant])
    assert [path.name for path in states(folder)] == ["checkpoint-00002.npz", "checkpoint-00003.npz"]
    done = tiny.run_stage(folder, *tiny.TRAIN)
    assert done.returncode == 0, done.stderr
    ours, theirs = folder / "models" / variant, tuned / "models" / variant
    for name in ("history.csv", "predictions.npz"):
        assert (ours / name).read_bytes() == (theirs / name).read_bytes()
    digests = [
        [job["weights_digest"] for job in json.loads((place / "job.json").read_text())["seeds"]]
        for place in (ours, theirs)
    ]
    assert digests[0] == digests[1]


@pytest.mark.slow
def test_jobs_killed_at_random_moments_end_with_the_same_bits(unbroken: Path, tmp_path: Path) -> None:
    chance, kills, study = random.Random(0), 0, 0
    while kills < RANDOM_KILLS:
        study += 1
        folder = tiny.hard_study(tmp_path / str(study))
        while not killed_or_finished(folder, chance):
            kills += 1
        assert_equal_results(folder, unbroken)
    assert study > 1


@pytest.mark.slow
@pytest.mark.skipif(usable_cores() < 2, reason="there is one core only")
def test_two_processes_killed_at_random_moments_end_with_the_bits_of_one(tmp_path: Path) -> None:
    whole, folder = one_thread_study(tmp_path / "whole", 1), one_thread_study(tmp_path / "killed", 2)
    done = tiny.train_hard(whole)
    assert done.returncode == 0, done.stderr
    chance = random.Random(0)
    for _ in range(KILLS_OF_TWO):
        kill_soon_after_a_state(folder, chance)
    done = tiny.train_hard(folder)
    assert done.returncode == 0, done.stderr
    assert_equal_results(folder, whole)


def one_thread_study(folder: Path, processes: int) -> Path:
    tiny.write_arrays(folder / "arrays")
    engine = {"engine.threads_per_job": 1, "engine.parallel_jobs": processes}
    # Enough epochs for every kill to meet one; with those of the others it would be over in a second.
    tiny.write_params(folder, {**tiny.HARD, **engine, "training.epochs": 100, "training.early_stopping": None})
    return folder


def kill_soon_after_a_state(folder: Path, chance: random.Random) -> None:
    """Start the train stage and kill it within half a second of its first state, or first one of its processes."""
    command = tiny.stage_command(*tiny.TRAIN)
    before = states(folder)
    process = psutil.Popen([sys.executable, *command], cwd=folder, env=tiny.environment(), stderr=subprocess.DEVNULL)
    while states(folder) == before:
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(chance.uniform(0.0, 0.5))
    trainers = [child for child in process.children() if "multiprocessing.spawn" in " ".join(child.cmdline())]
    assert len(trainers) == 2
    for killed in (*chance.choice([(), (trainers[0],), (trainers[1],)]), process):
        killed.kill()
    assert process.wait(60) == -signal.SIGKILL


def killed_or_finished(folder: Path, chance: random.Random) -> bool:
    """Start the train stage and kill it within two seconds of its first work; return whether it finished before."""
    command = tiny.stage_command(*tiny.TRAIN)
    before = newest_change(folder)
    process = subprocess.Popen(
        [sys.executable, *command], cwd=folder, env=tiny.environment(), stderr=subprocess.PIPE, text=True
    )
    while process.poll() is None and newest_change(folder) == before:
        time.sleep(0.01)
    try:
        _, said = process.communicate(timeout=chance.uniform(0.0, 2.0))
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        _, said = process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), said
    return process.returncode == 0


def newest_change(folder: Path) -> int:
    """Return when anything in the store was last changed, in nanoseconds; it changes with every state."""
    return max((Path(path).stat().st_mtime_ns for path, _, _ in os.walk(folder / ".jobs")), default=0)
