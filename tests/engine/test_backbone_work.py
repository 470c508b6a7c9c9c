"""The work of a pretrained network in a forecast."""

import pytest

from convnet.engine.backbone_work import OF_A_NUMBER, UNKNOWN, backbone_multiplications
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


def test_slow_grouped_convolutions_count_more_than_their_multiplications(monkeypatch: pytest.MonkeyPatch) -> None:
    from helpers.tiny_study import start_keras

    start_keras()
    import keras

    from bench.correctness import applications

    monkeypatch.setattr(applications, "GROUPED", 1)  # the table is counted anew, with each multiplication once
    counted = {}
    for name, side in (("ConvNeXtTiny", 224), ("InceptionV3", 299)):
        (row,) = (line.split(",") for line in TABLE.read_text("utf-8").splitlines() if line.startswith(f"{name},"))
        keras.backend.clear_session()  # Keras numbers the operations of a process
        model = getattr(keras.applications, name)(include_top=False, weights=None, input_shape=(side, side, 3))
        backbone = Backbone.model_validate({"architecture": name})
        plain = applications.work(model, backbone.last_layer, backbone.trainable_from)
        counted[name] = float(row[-5]) / float(plain["multiplications"])
    assert counted["InceptionV3"] == pytest.approx(1, abs=0.02)
    assert 2 < counted["ConvNeXtTiny"] < 5


def test_network_without_a_record_is_taken_for_one_of_usual_work() -> None:
    assert backbone_multiplications(None, (10, 20)) == (0.0, 200 * UNKNOWN)
