"""Derived jobs: against the arithmetic of NumPy and SciPy, and as models that plain Keras loads."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage, special
from sklearn.metrics import log_loss

from convnet.data.arrays import load_arrays
from convnet.evaluation.calibration import fit_temperature
from convnet.evaluation.evaluate import evaluate
from convnet.jobs.gather import gather
from convnet.jobs.job import Job
from convnet.jobs.planning import plan_jobs
from convnet.jobs.predictions import Predictions, calibration_part, load_predictions
from convnet.jobs.store import facts, timing
from convnet.params.schema import Params
from convnet.remedies.tta import REMEDY, Tta
from convnet.system.files import read_json
from convnet.training.derived import mean_history
from convnet.training.train import train_job
from helpers import tiny_study as tiny

tiny.start_keras()

VARIANTS = ["baseline", "calibrated", "tta", "ensemble"]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Params]:
    """Five trained seeds of the baseline, and their arrays."""
    folder = tmp_path_factory.mktemp("derived")
    run = {"run.pixel_variants": VARIANTS, "run.seeds": [3, 4, 5, 6, 7], "variants.tta": {"tta": 4}}
    params = tiny.params(folder, {**tiny.PIXELS_ONLY, **run, "training.early_stopping": 2})
    tiny.write_arrays(folder / "arrays", classes=3)
    return folder, params


@pytest.fixture(scope="module", params=VARIANTS[1:])
def jobs(request: pytest.FixtureRequest, study: tuple[Path, Params]) -> list[Job]:
    """The finished jobs of a derived variant."""
    folder, params = study
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        planned = plan_jobs(params, request.param, folder / "arrays")
        for job in {job.key: job for made in planned for job in (*made.members, made)}.values():
            if not job.done:
                train_job(job)
    return planned


def predictions(job: Job) -> Predictions:
    return load_predictions(job.result / "predictions.npz")[job.seed]


def pixels(study: tuple[Path, Params]) -> NDArray[Any]:
    return np.array(load_arrays(study[0] / "arrays", "test").images)


def test_saved_model_gives_the_predictions_in_plain_keras(
    study: tuple[Path, Params], jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    monkeypatch.chdir(study[0])
    model = keras.saving.load_model(jobs[1].result / "model.keras")
    outputs = model.predict_on_batch(pixels(study))
    assert outputs == pytest.approx(predictions(jobs[1])["test"].probabilities, abs=1e-5)
    assert "convnet" not in model.to_json()


def test_probabilities_are_those_of_the_definition(
    study: tuple[Path, Params], jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(study[0])
    for job in jobs:
        members = [predictions(member) for member in job.members]
        for split, made in predictions(job).items():
            given = [np.asarray(member[split].probabilities, np.float64) for member in members]
            if job.recipe.variant == "calibrated":
                unused = calibration_part(members[0])
                temperature = fit_temperature(unused.probabilities, unused.labels)
                expected = special.softmax(np.log(np.clip(given[0], 1e-12, None)) / temperature, axis=1)
                assert (made.probabilities.argmax(axis=1) == given[0].argmax(axis=1)).all()
            elif job.recipe.variant == "ensemble":
                expected = (given[0] + given[1]) / 2
            else:
                continue
            assert made.probabilities == pytest.approx(expected, abs=1e-4)
            assert (made.index == members[0][split].index).all()


def test_calibration_lowers_the_loss_it_is_chosen_by(
    study: tuple[Path, Params], jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    if jobs[0].recipe.variant != "calibrated":
        pytest.skip("it is about calibration")
    monkeypatch.chdir(study[0])
    for job in jobs:
        before, after = (calibration_part(predictions(one)) for one in (job.members[0], job))
        losses = [
            log_loss(part.labels, part.probabilities / part.probabilities.sum(axis=1, keepdims=True), labels=[0, 1, 2])
            for part in (before, after)
        ]
        assert losses[1] <= losses[0] + 1e-6


def test_groups_are_disjoint_and_the_rest_is_left_out(jobs: list[Job]) -> None:
    seeds = [[member.seed for member in job.members] for job in jobs]
    expected = [[3, 4], [5, 6]] if jobs[0].recipe.variant == "ensemble" else [[seed] for seed in (3, 4, 5, 6, 7)]
    assert seeds == expected
    assert [job.seed for job in jobs] == [3, 4, 5, 6, 7][: len(jobs)]
    assert len({job.key for job in jobs} | {member.key for job in jobs for member in job.members}) == len(jobs) + sum(
        map(len, seeds)
    )


def test_files_are_those_of_training(
    study: tuple[Path, Params], jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(study[0])
    job = jobs[0]
    gather(jobs, study[0] / "gathered" / job.recipe.variant)
    evaluation = evaluate(study[0] / "arrays", study[0] / "gathered" / job.recipe.variant)
    assert evaluation.seeds[0].members == ([3, 4] if len(job.members) == 2 else [])
    assert facts(job)["forwards_per_image"] == {"calibrated": 1, "tta": 4, "ensemble": 2}[job.recipe.variant]
    own = timing(job)
    assert own["seconds_training"] == pytest.approx(
        own["seconds_deriving"] + sum(timing(member)["seconds_training"] for member in job.members), abs=0.01
    )
    histories = [read_json(member.result / "history.json") for member in job.members]
    assert read_json(job.result / "history.json") == mean_history(histories)
    assert mean_history([histories[0]]) == histories[0]


def test_equal_jobs_give_equal_bytes(
    study: tuple[Path, Params], jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(study[0])
    files = ("predictions.npz", "history.json")
    before = [(jobs[0].result / name).read_bytes() for name in files]
    digest = facts(jobs[0])["weights_digest"]
    train_job(jobs[0])
    assert [(jobs[0].result / name).read_bytes() for name in files] == before
    assert facts(jobs[0])["weights_digest"] == digest


def test_views_are_those_of_scipy() -> None:
    """A network that returns its input shows the mean of the views."""
    import keras

    inputs = keras.Input((9, 11, 3))
    flat = keras.layers.Flatten()(inputs)
    settings = Tta(views=4, move=0.2)
    derived = REMEDY.derived(settings, [keras.Model(inputs, flat)], [{}], np.random.default_rng(5))
    image = np.random.default_rng(0).uniform(0, 255, (9, 11, 3)).astype(np.float32)
    generator, views = np.random.default_rng(5), [image]
    for number in range(1, 4):
        shifts, zooms = generator.uniform(-0.2, 0.2, (2, 2))
        sides, scale = np.array([9, 11]), 1 + zooms
        scale[1] *= -1 if number % 2 else 1
        offset = (sides - 1) / 2 + shifts * sides - scale * (sides - 1) / 2
        moved = [
            ndimage.affine_transform(image[..., channel], scale, offset, order=1, mode="nearest")
            for channel in range(3)
        ]
        views.append(np.stack(moved, axis=-1))
    ours = derived.model.predict_on_batch(image[None])
    assert ours.reshape(9, 11, 3) == pytest.approx(np.mean(views, axis=0), abs=1e-2)
    assert derived.probabilities is None
