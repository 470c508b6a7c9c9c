"""Equal tuning: the settings that every variant tries, and the settings that a study then trains with."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from convnet.params.recipe import HeadRecipe, PixelRecipe, Recipe
from convnet.params.remedies import Strength, find_remedies
from convnet.params.schema import Params

Overrides = dict[str, Any]  # of one variant, as under `variants` in params.yaml

LEARNING_RATE = Strength("learning_rate", 0.1, 10.0, "log")  # times the setting in params.yaml
AUGMENTATION = Strength("augmentation", 0.25, 1.5, "linear")  # times every knob of params.yaml, within its limits
LIMITS = {"rotation": 180.0, "width_shift": 1.0, "height_shift": 1.0, "shear": 1.0, "zoom": 0.95}


def trials_of(params: Params, recipe: Recipe) -> list[Overrides]:
    """Return the changes that a variant tries, as many as `tuning.trials`.

    The first is that of params.yaml. The others are points of a Sobol sequence (Bergstra & Bengio 2012 compare such
    sequences with grids). The first coordinate is the learning rate; each strength of the variant takes the next one.
    Coordinates do not depend on how many there are, so all variants try the same points.
    """
    strengths = _strengths(recipe)
    points = _design(params.tuning.trials - 1, 1 + len(strengths))
    rate = recipe.fit.learning_rate
    trials: list[Overrides] = [{}]
    for first, *others in points:
        trial: Overrides = {"learning_rate": rate * LEARNING_RATE.at(first)}
        for (remedy, strength), share in zip(strengths, others, strict=True):
            trial |= _change(recipe, remedy, strength, share)
        trials.append(trial)
    return trials


def with_settings(params: Params, chosen: Mapping[str, Overrides]) -> Params:
    """Return the settings with changes of variants, by name; a derived variant follows the one that it is made from."""
    bases = {name: params.base_of(name) for name in params.run.variants}
    given = {**chosen, **{name: chosen[base] for name, base in bases.items() if base is not None and base in chosen}}
    changed = {name: params.variants[name].model_copy(update=overrides) for name, overrides in given.items()}
    return params.model_copy(update={"variants": params.variants | changed})


def _design(count: int, dimensions: int) -> list[list[float]]:
    """Return points in the unit cube: a Sobol sequence without its corner 0 and its centre."""
    if count < 1:
        return []
    from scipy.stats import qmc  # costs a second, and most runs tune nothing

    sequence = qmc.Sobol(dimensions, scramble=False).fast_forward(2)
    points: list[list[float]] = np.asarray(sequence.random(count)).tolist()
    return points


def _strengths(recipe: Recipe) -> list[tuple[str, Strength]]:
    """Return the remedies of a variant that have a strength."""
    found: list[tuple[str, Strength]] = []
    known = find_remedies()
    if isinstance(recipe, PixelRecipe | HeadRecipe) and recipe.dropout > 0.0 and (dropout := known["dropout"].strength):
        found.append(("dropout", dropout))
    # Cached augmented views are shared by several variants, so their strength stays.
    if recipe.augmentation is not None and recipe.kind != "features":
        found.append(("augmentation", AUGMENTATION))
    for name, settings in sorted(recipe.remedies.items()):
        strength = known[name].strength
        if strength and settings[strength.knob]:  # a knob at 0 belongs to a variant that uses another one
            found.append((name, strength))
    return found


def _change(recipe: Recipe, remedy: str, strength: Strength, share: float) -> Overrides:
    """Return the change that sets the strength of a remedy to a share of its range."""
    value = strength.at(share)
    if remedy == "augmentation":
        assert recipe.augmentation is not None
        knobs = recipe.augmentation.model_dump().items()
        return {remedy: {name: min(old * value, LIMITS[name]) if name in LIMITS else old for name, old in knobs}}
    if remedy == strength.knob or strength.knob in find_remedies()[remedy].alone:
        return {strength.knob: value}
    return {remedy: recipe.remedies[remedy] | {strength.knob: value}}
