"""The mean of several networks that differ by their seed alone."""

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from convnet.params.remedies import Derived, Remedy
from convnet.params.section import Section


class Ensemble(Section):
    """How many networks are joined."""

    members: Annotated[int, Field(ge=2, le=10)] = 2  # seeds of the variant; no seed is in two ensembles


def _join(
    settings: Ensemble, models: Sequence[Any], predictions: Sequence[dict[str, Any]], generator: np.random.Generator
) -> Derived:
    """Average the probabilities."""
    import keras

    for number, model in enumerate(models):
        model.name = f"member{number}"  # names of layers differ
    inputs = keras.Input(models[0].input_shape[1:], name="pixels")
    average = keras.layers.Average(dtype="float32", name="output")
    joined = keras.Model(inputs, average([model(inputs, training=False) for model in models]), name="ensemble")
    splits = {
        split: np.mean([of_one[split].probabilities for of_one in predictions], axis=0) for split in predictions[0]
    }
    return Derived(joined, splits, len(models))


REMEDY = Remedy(
    sentence="The probabilities of several networks with different seeds are averaged.",
    source='Hansen and Salamon, "Neural Network Ensembles", 1990',
    settings=Ensemble,
    on_features="It averages the heads of several seeds.",
    derived=_join,
    members="members",
)
