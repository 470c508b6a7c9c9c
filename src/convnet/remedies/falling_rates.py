"""Learning rates that fall with the depth of a layer."""

from typing import Annotated, Any

from pydantic import Field

from convnet.params.remedies import Remedy, Strength
from convnet.params.section import Section


class FallingRates(Section):
    """How slowly the lowest layer learns."""

    lowest: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1  # rate of the lowest trained layer, as a share of the highest


def rate_factors(model: Any, lowest: float) -> list[float]:
    """Return the factor of each trainable variable: 1 in the highest layer, `lowest` in the lowest, by equal ratios."""
    layers = [layer for layer in model._flatten_layers() if not getattr(layer, "layers", None)]
    owner = {id(variable): id(layer) for layer in layers for variable in layer.trainable_variables}
    places: dict[int, int] = {}  # Keras lists variables from the lowest layer up
    for variable in model.trainable_variables:
        places.setdefault(owner[id(variable)], len(places))
    last = max(len(places) - 1, 1)
    return [lowest ** ((last - places[owner[id(variable)]]) / last) for variable in model.trainable_variables]


def _slow_down(settings: FallingRates, optimizer: Any, model: Any, steps: int) -> None:
    """Let every update use the rate of its layer. A factor of the gradient has no effect on RMSprop and Adam."""
    factors, update = rate_factors(model, settings.lowest), optimizer.update_step

    def update_step(gradient: Any, variable: Any, learning_rate: Any) -> None:
        update(gradient, variable, learning_rate * factors[optimizer._get_variable_index(variable)])

    optimizer.update_step = update_step


REMEDY = Remedy(
    sentence="Lower layers of the network learn at lower rates than higher ones.",
    source='Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification", 2018',
    settings=FallingRates,
    on_features="It acts on the layers of the head.",
    strength=Strength("lowest", 0.01, 0.9, "log"),
    optimizer=_slow_down,
)
