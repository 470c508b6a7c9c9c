"""Measuring a backbone on a few images: it runs without a weight file, up to the cut of params.yaml."""

from convnet.features.measured_time import measure_features
from convnet.params.schema import Params
from helpers.tiny_study import committed


def test_network_runs_with_random_weights() -> None:
    backbone = Params.model_validate(committed()).backbones["mobilenet_v2"]
    assert measure_features(backbone, 96, 1) > 0.0
