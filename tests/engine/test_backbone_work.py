"""The work of a pretrained network in a forecast."""

import time

import numpy as np
import pytest

from convnet.engine.backbone_work import OF_A_NUMBER, UNKNOWN, backbone_multiplications
from convnet.engine.forecast import multiplications_per_second
from convnet.features.candidates import FORWARD
from convnet.params.applications import TABLE
from convnet.params.backbone import Backbone


def test_work_is_that_of_the_table_and_grows_with_the_pixels() -> None:
    (row,) = (line.split(",") for line in TABLE.read_text("utf-8").splitlines() if line.startswith("InceptionV3,"))
    multiplications, trained, numbers, _, _ = (float(cell) * 1e6 for cell in row[-5:])
    backbone = Backbone.model_validate({"architecture": "InceptionV3"})
    frozen, tuned = backbone_multiplications(backbone, (299, 299))
    assert frozen + tuned == pytest.approx(multiplications + OF_A_NUMBER * numbers)
    assert tuned / (frozen + tuned) == pytest.approx(trained / multiplications)
    assert sum(backbone_multiplications(backbone, (598, 299))) == pytest.approx(2 * (frozen + tuned))


def test_forecast_counts_how_slow_grouped_convolutions_are() -> None:
    from helpers.tiny_study import start_keras

    start_keras()
    import keras

    side, count = 96, 10
    backbone = Backbone.model_validate({"architecture": "ConvNeXtTiny"})
    whole = keras.applications.ConvNeXtTiny(include_top=False, weights=None, input_shape=(side, side, 3))
    model = keras.Model(whole.input, whole.get_layer(backbone.trainable_from).input)  # three quarters of the time
    images = np.zeros((count, side, side, 3), np.float32)
    model.predict_on_batch(images)
    seconds = []
    for _ in range(3):
        start = time.process_time()  # of this process, however busy the machine is
        model.predict_on_batch(images)
        seconds.append((time.process_time() - start) / count)
    speed = multiplications_per_second("float32", 1)
    assert speed is not None
    forecast = backbone_multiplications(backbone, (side, side))[0] / (FORWARD * speed)
    assert 0.4 < forecast / min(seconds) < 2.5


def test_network_without_a_record_is_taken_for_one_of_usual_work() -> None:
    assert backbone_multiplications(None, (10, 20)) == (0.0, 200 * UNKNOWN)
