"""Probabilities that match the accuracy: the logits divided by one temperature."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from convnet.params.remedies import Derived, Remedy
from convnet.params.section import Section


class Calibrated(Section):
    """It is on or off: the temperature with the least log loss on validation images is chosen."""


def _divide(
    settings: Calibrated, models: Sequence[Any], predictions: Sequence[dict[str, Any]], generator: np.random.Generator
) -> Derived:
    """Divide kernel and bias of the output layer by the temperature."""
    from convnet.evaluation.calibration import apply_temperature, fit_temperature
    from convnet.jobs.predictions import calibration_part

    unused = calibration_part(predictions[0])
    temperature = fit_temperature(unused.probabilities, unused.labels)
    output = _output_layer(models[0])
    output.set_weights([weights / temperature for weights in output.get_weights()])
    splits = {name: apply_temperature(split.probabilities, temperature) for name, split in predictions[0].items()}
    return Derived(models[0], splits, 1)


def _output_layer(model: Any) -> Any:
    """Return the dense layer that ends a network, also inside a nested head."""
    last = model.layers[-1]
    return _output_layer(last) if hasattr(last, "layers") else last


REMEDY = Remedy(
    sentence="One temperature, chosen on validation images, makes the probabilities match the accuracy.",
    source='Guo et al., "On Calibration of Modern Neural Networks", 2017',
    settings=Calibrated,
    on_features="It acts on the output layer of the head.",
    derived=_divide,
)
