import csv
import json
from pathlib import Path

import keras
import numpy as np
import pytest

from convnet.jobs.gather import HISTORY, gather
from convnet.jobs.planning import plan_jobs
from convnet.jobs.store import facts
from helpers import tiny_study as tiny

SEEDS = (0, 1)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.unbroken(tmp_path_factory.getbasetemp())


def test_folder_holds_one_model_per_seed_and_the_joint_files(study: Path) -> None:
    assert sorted(path.name for path in (study / "models" / "hard").iterdir()) == [
        *("history.csv", "job.json", "predictions.npz", "seed-0.keras", "seed-1.keras", "timing.json"),
    ]


def test_history_is_one_long_table(study: Path) -> None:
    with (study / "models" / "hard" / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["seed", *HISTORY]
    assert [(row["seed"], row["epoch"]) for row in rows] == [
        *(("0", str(epoch)) for epoch in range(1, 11)),
        *(("1", str(epoch)) for epoch in range(1, 4)),
    ]
    rates = [float(row["learning_rate"]) for row in rows]
    assert rates[0] == rates[10] == 0.02
    assert rates[:10] == sorted(rates[:10], reverse=True)


def test_job_names_the_recipe_and_every_seed(study: Path) -> None:
    job = json.loads((study / "models" / "hard" / "job.json").read_text())
    assert set(job) == {
        "dataset",
        "variant",
        "kind",
        "classes",
        "split",
        "recipe",
        "threads",
        "versions",
        "seeds",
        "images",
        "keys",
        "files",
    }
    assert (job["dataset"], job["variant"], job["classes"]) == ("tiny", "hard", ["blue", "green"])
    assert job["kind"] == "rendered"
    assert job["recipe"]["dropout"] == 0.5
    assert job["recipe"]["augmentation"]["rotation"] == 40.0
    assert job["versions"]["keras"] == keras.__version__
    assert [seed["seed"] for seed in job["seeds"]] == [0, 1]


def test_seconds_and_machine_are_kept_apart(study: Path) -> None:
    timing = json.loads((study / "models" / "hard" / "timing.json").read_text())
    assert list(timing) == ["0", "1"]
    for seed in timing.values():
        assert seed["seconds_training"] > 0
        assert seed["images_per_second"] > 0
        assert seed["machine"]["cores"] >= 1
    assert "seconds" not in (study / "models" / "hard" / "job.json").read_text()


def test_predictions_of_all_seeds_are_in_one_file(study: Path) -> None:
    with np.load(study / "models" / "hard" / "predictions.npz") as file:
        assert {name.split("/")[0] for name in file.files} == {"seed-0", "seed-1"}
        # Half of the validation images chose the epoch; the other half is the part `calibration`.
        half = tiny.COUNTS["validation"] // 2
        for split, count in {**tiny.COUNTS, "validation": half, "calibration": half}.items():
            for seed in SEEDS:
                assert file[f"seed-{seed}/{split}/probabilities"].shape == (count, 2)
                assert file[f"seed-{seed}/{split}/labels"].tolist() == (np.arange(count) % 2).tolist()


def test_gathering_again_gives_equal_bytes_and_the_models_themselves(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(study)
    jobs = plan_jobs(tiny.params(tmp_path, tiny.HARD), "hard", Path("arrays"))
    gather(jobs, tmp_path / "again")
    for path in (study / "models" / "hard").iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()
    assert facts(jobs[0])["model_bytes"] == (study / "models" / "hard" / "seed-0.keras").stat().st_size


def test_fewer_seeds_leave_no_orphans_in_a_new_folder(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(study)
    jobs = plan_jobs(tiny.params(tmp_path, {**tiny.HARD, "run.seeds": [1]}), "hard", Path("arrays"))
    gather(jobs, tmp_path / "one")
    assert [path.name for path in (tmp_path / "one").glob("*.keras")] == ["seed-1.keras"]
    assert len((tmp_path / "one" / "history.csv").read_text().splitlines()) == 1 + 3
