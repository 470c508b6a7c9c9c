"""Equal tuning: the settings that every variant tries, and the settings that a study then trains with."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from convnet.params.recipe import HeadRecipe, PixelRecipe, Recipe
from convnet.params.schema import Params

Overrides = dict[str, Any]  # of one variant, as under `variants` in params.yaml
DIMENSIONS = 3


class Range(NamedTuple):
    """The values of a setting that tuning tries."""

    low: float
    high: float
    logarithmic: bool = False

    def at(self, share: float) -> float:
        """Return the value at a share of the range, 0..1, in three digits."""
        if self.logarithmic:
            return float(f"{self.low * (self.high / self.low) ** share:.3g}")
        return float(f"{self.low + (self.high - self.low) * share:.3g}")


LEARNING_RATE = Range(0.1, 10.0, logarithmic=True)  # times the setting in params.yaml
DROPOUT = Range(0.1, 0.7)
AUGMENTATION = Range(0.25, 1.5)  # times every knob of params.yaml, within its limits
LIMITS = {"rotation": 180.0, "width_shift": 1.0, "height_shift": 1.0, "shear": 1.0, "zoom": 0.95}


def trials_of(params: Params, recipe: Recipe) -> list[Overrides]:
    """Return the changes that a variant tries, as many as `tuning.trials`.

    The first is that of params.yaml. The others are points of a Sobol sequence, the same for every variant (Bergstra &
    Bengio 2012 compare such sequences with grids). A variant reads as many coordinates of a point as it has knobs.
    """
    points = _design(params.tuning.trials - 1)
    return [{}, *(_settings(recipe, point) for point in points)]


def with_settings(params: Params, chosen: Mapping[str, Overrides]) -> Params:
    """Return the settings with changes of variants, by name."""
    changed = {name: params.variants[name].model_copy(update=overrides) for name, overrides in chosen.items()}
    return params.model_copy(update={"variants": params.variants | changed})


def _design(count: int) -> list[list[float]]:
    """Return points in the unit cube: a Sobol sequence without its corner 0 and its centre."""
    if count < 1:
        return []
    from scipy.stats import qmc  # costs a second, and most runs tune nothing

    sequence = qmc.Sobol(DIMENSIONS, scramble=False).fast_forward(2)
    points: list[list[float]] = np.asarray(sequence.random(count)).tolist()
    return points


def _settings(recipe: Recipe, point: list[float]) -> Overrides:
    settings: Overrides = {"learning_rate": recipe.fit.learning_rate * LEARNING_RATE.at(point[0])}
    if isinstance(recipe, PixelRecipe | HeadRecipe) and recipe.dropout > 0.0:
        settings["dropout"] = DROPOUT.at(point[1])
    # Cached augmented views are shared by several variants, so their strength stays.
    if recipe.augmentation is not None and recipe.kind != "features":
        factor = AUGMENTATION.at(point[2])
        knobs = recipe.augmentation.model_dump()
        settings["augmentation"] = {
            name: value if name not in LIMITS else min(value * factor, LIMITS[name]) for name, value in knobs.items()
        }
    return settings
