"""The logistic regression on frozen features: against scikit-learn's pipeline, and as a trained job."""

from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from convnet.params.recipe import resolve
from convnet.remedies.probe import PENALTIES, REMEDY, Probe
from convnet.system.errors import UserError
from helpers import tiny_study as tiny


@pytest.mark.parametrize("classes", [2, 4])
def test_layer_computes_what_the_best_pipeline_of_sklearn_predicts(classes: int) -> None:
    rows, labels = load_digits(n_class=classes, return_X_y=True)
    noisy = (rows + np.random.default_rng(0).normal(scale=20.0, size=rows.shape)).astype(np.float16)
    weights = np.where(labels == 0, 2.0, 1.0)
    train, validation = slice(0, 150), slice(150, 300)
    kernel, bias = REMEDY.solve(
        Probe(), (noisy[train], labels[train], weights[train]), (noisy[validation], labels[validation])
    )
    losses, predicted = [], []
    for penalty in PENALTIES:
        pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=penalty, max_iter=1000, tol=1e-6))
        pipeline.fit(noisy[train].astype(np.float64), labels[train], logisticregression__sample_weight=weights[train])
        predicted.append(pipeline.predict_proba(noisy[validation].astype(np.float64)))
        losses.append(log_loss(labels[validation], predicted[-1]))
    outputs = noisy[validation].astype(np.float64) @ kernel + bias
    ours = softmax(outputs, axis=1) if classes > 2 else np.hstack([1 - expit(outputs), expit(outputs)])
    assert 0 < np.argmin(losses) < len(PENALTIES) - 1  # neither end of the range
    assert ours == pytest.approx(predicted[int(np.argmin(losses))], abs=1e-6)


def test_probe_needs_cached_features(tmp_path: Path) -> None:
    views = {"transfer": True, "augmentation": True, "probe": True}
    changes = {"variants.pixels": {"probe": True}, "variants.views": views, "transfer.fresh_views": True}
    params = tiny.params(tmp_path, changes)
    for variant in ("pixels", "views"):
        with pytest.raises(UserError, match=f"{variant} has probe, which needs cached features; set transfer: true"):
            resolve(params, "tiny", variant)


@pytest.mark.parametrize("classes", [2, 3])
def test_job_saves_a_network_that_predicts_as_the_regression(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, classes: int
) -> None:
    tiny.start_keras()
    import keras

    from convnet.data.arrays import load_arrays
    from convnet.features.cache import bring_features
    from convnet.jobs.feature_plan import plan_features
    from convnet.jobs.planning import plan_jobs
    from convnet.jobs.predictions import load_predictions
    from convnet.jobs.store import facts
    from convnet.system.files import read_json
    from convnet.training.train import train_job

    monkeypatch.chdir(tmp_path)
    arrays, backbone, features = (tmp_path / name for name in ("arrays", "backbone", "features"))
    tiny.write_arrays(arrays, classes)
    tiny.write_backbone(backbone)
    params = tiny.params(tmp_path, {"run.feature_variants": ["transfer", "probe"]})
    bring_features(params, plan_features(params, "tiny"), arrays, backbone, features)
    (job,) = plan_jobs(params, "probe", arrays, features=features, backbone=backbone)
    train_job(job)
    predictions = load_predictions(job.result / "predictions.npz")[0]
    model = keras.saving.load_model(job.result / "model.keras")
    outputs = model.predict_on_batch(np.array(load_arrays(arrays, "test").images))
    assert predictions["test"].probabilities[:, -1] == pytest.approx(outputs[:, -1], abs=5e-3)  # cached as float16
    (row,) = read_json(job.result / "history.json")
    validation = predictions["validation"]
    probabilities = validation.probabilities.astype(np.float64)
    loss = log_loss(validation.labels, probabilities / probabilities.sum(axis=1, keepdims=True))
    assert row["validation_loss"] == pytest.approx(loss, rel=1e-3)
    assert not facts(job)["at_cap"]
    assert facts(job)["trainable_parameters"] == (8 + 1) * (1 if classes == 2 else classes)
