"""The accuracy at several cuts of a backbone, on images whose class is a colour."""

from pathlib import Path

import keras
import numpy as np
import pytest
from matplotlib.axes import Axes
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from convnet.analysis import cuts
from convnet.analysis.cuts import Labelled, measure_cuts, probe_cuts
from convnet.analysis.networks import Network
from convnet.comparison.statistics import wilson_interval
from convnet.data.arrays import load_arrays
from convnet.jobs import store
from convnet.jobs.predictions import Prediction
from convnet.models.backbones import build_compact, cut
from convnet.models.cnn import build_head
from convnet.models.heads import choose_head
from convnet.models.transfer import build_transfer
from convnet.report.charts.cuts import cuts_chart
from helpers.tiny_study import COUNTS, IMAGE_SIZE, start_keras, write_arrays

start_keras()

WANTED = ("block2_relu", "block1_relu", "block3_relu")  # the last one is behind the cut
ROWS = [
    {"layer": "first", "shape": [24, 24, 16], "cut": False, "accuracy": 0.6, "n": 50},
    {"layer": "last", "shape": [6, 6, 64], "cut": True, "accuracy": 0.9, "n": 50},
]


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(0)
    backbone = cut(build_compact(IMAGE_SIZE, (4, 8), 3), "block2_pool", "last_layer")
    return build_transfer(backbone, (-1.0, 1.0), "flatten", build_head(4 * 4 * 8, 16, 0.0, choose_head(2, "sparse")))


def coloured(seed: int, n: int) -> Labelled:
    """Return noise that is a little redder in one class."""
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 200, (n, *IMAGE_SIZE, 3)).astype(np.uint8)
    labels = np.arange(n) % 2
    images[labels == 1, :, :, 0] += 3
    return Labelled(images, labels)


def channel_means(model: keras.Model, name: str, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    backbone = model.get_layer("backbone")
    part = keras.Model(backbone.input, backbone.get_layer(name).output)
    return np.asarray(part(model.get_layer("rescale")(images.astype(np.float32)))).mean(axis=(1, 2))


def test_accuracies_are_those_of_a_regression_on_channel_means(model: keras.Model) -> None:
    train, validation = coloured(0, 120), coloured(1, 60)
    rows = probe_cuts(model, WANTED, train, validation)
    assert [row["layer"] for row in rows] == ["block1_relu", "block2_relu", "block2_pool"]
    assert [row["cut"] for row in rows] == [False, False, True]
    assert rows[2]["shape"] == [IMAGE_SIZE[0] // 4, IMAGE_SIZE[1] // 4, 8]
    for row in rows:
        seen, judged = (channel_means(model, row["layer"], part.images) for part in (train, validation))
        expected = make_pipeline(StandardScaler(), LogisticRegression(C=1 / seen.shape[1], max_iter=300))
        assert row["accuracy"] == pytest.approx(expected.fit(seen, train.labels).score(judged, validation.labels))
    assert max(row["accuracy"] for row in rows) > 0.7
    assert {row["n"] for row in rows} == {60}


def test_second_measurement_comes_from_the_store(
    model: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "STORE", tmp_path / "jobs")
    write_arrays(tmp_path / "arrays")
    path = tmp_path / "seed-0.keras"
    path.write_bytes(b"network")
    asked = []

    def measure(*arguments: object) -> list[object]:
        asked.append(arguments)
        return []

    monkeypatch.setattr(cuts, "load_network", lambda _: model)
    monkeypatch.setattr(cuts, "probe_cuts", measure)
    predictions = {
        split: Prediction(np.zeros((n, 2), np.float32), load_arrays(tmp_path / "arrays", split).labels, np.arange(n))
        for split, n in COUNTS.items()
    }
    network = Network("transfer", "the frozen backbone", ("transfer",), "compact", WANTED, IMAGE_SIZE, True)
    for _ in range(2):
        measure_cuts(path, network, tmp_path / "arrays", predictions, 0, False, 1)
    assert len(asked) == 1
    path.write_bytes(b"another network")
    measure_cuts(path, network, tmp_path / "arrays", predictions, 0, False, 1)
    assert len(asked) == 2


def test_chart_shows_accuracies_intervals_and_the_cut() -> None:
    chart = cuts_chart(ROWS, "compact", {"dataset": "pets", "kind": "rendered"})
    ax: Axes = chart.figure.axes[0]
    drawn = [np.asarray(line.get_xdata()).tolist() for line in ax.lines]
    for row, interval, accuracy in zip(ROWS, drawn[::2], drawn[1::2], strict=True):
        assert accuracy == [row["accuracy"]]
        assert interval == pytest.approx(list(wilson_interval(row["accuracy"], row["n"])))
    assert "last (cut)" in ax.get_yticklabels()[1].get_text()
    assert chart.table is not None
    assert chart.table["cut"].tolist() == ["no", "yes"]
    assert "first 60.0 %, last 90.0 %" in chart.alt
