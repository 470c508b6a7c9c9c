"""What a run could also train, so that the report can propose it: settings that params.yaml accepts."""

from collections.abc import Iterator
from itertools import combinations
from typing import Any

from convnet import remedies
from convnet.params.checks import is_name, list_of
from convnet.params.combined import combine_variants
from convnet.params.recipe import PixelRecipe, VariantRecipe, resolve
from convnet.params.remedies import used_remedies
from convnet.params.schema import Params
from convnet.params.section import BASELINE
from convnet.params.training import Variant
from convnet.system.errors import UserError

BACKBONES = ("EfficientNetV2B0", "inception_v3")  # both with a published checksum; the first that a run lacks


def untried(params: Params) -> dict[str, Any]:
    """Return what the report proposes from.

    Returns:
        `folds`: the run can test every image once. `variants`: what the run could also train, each with its name, its
        remedies, whether its network is larger than the baseline's, its pooling and backbone (null without one), and
        the settings of `dvc exp run -S` that add it.
    """
    assert remedies.__path__  # the folder of the modules that `used_remedies` finds
    run = params.run
    candidates = [*_defined(params), *_pairs(params), *_backbone(params)]
    return {
        "folds": run.split == "fixed" and len(run.seeds) >= 3 and not params.tuning.trials,
        "variants": [found for candidate in candidates if (found := _described(params, *candidate))],
    }


def _defined(params: Params) -> Iterator[tuple[str, Variant, str]]:
    for name, variant in params.variants.items():
        if name not in params.run.variants:
            yield name, variant, ""


def _pairs(params: Params) -> Iterator[tuple[str, Variant, str]]:
    """Yield two pixel variants of the run together, if each has one remedy and no variant has both."""
    tried = {name: _remedies(params, name) for name in params.variants}
    single = [name for name in params.run.pixel_variants if len(tried[name]) == 1]
    for first, second in combinations(single, 2):
        parts = {name: params.variants[name].model_dump(exclude_unset=True) for name in (first, second)}
        if sorted(tried[first] + tried[second]) in tried.values() or tried[first] == tried[second]:
            continue
        try:
            both = combine_variants({**parts, "both": [first, second]})["both"]
        except ValueError:  # both change one setting
            continue
        yield f"{first}_{second}", Variant.model_validate(both), f"[{first},{second}]"


def _backbone(params: Params) -> Iterator[tuple[str, Variant, str]]:
    """Yield transfer with another backbone, for photographs: rendered images have little in common with its own."""
    datasets = [params.datasets[name] for name in params.run.datasets]
    named = {params.variants[name].overrides.get("backbone") for name in params.run.variants}
    named |= {dataset.backbone for dataset in datasets}
    other = next((name for name in BACKBONES if name not in named), None)
    if other and "transfer" in params.run.variants and all(dataset.kind == "photographs" for dataset in datasets):
        settings = {"transfer": True, "backbone": other, "against": ["transfer"]}
        text = f"{{transfer: true, backbone: {other}, against: transfer}}"
        yield f"transfer_{other.lower()}", Variant.model_validate(settings), text


def _described(params: Params, name: str, variant: Variant, added: str) -> dict[str, Any] | None:
    """Return a candidate with its settings, or nothing if the run would reject it; `added` defines a new variant."""
    if not is_name(name) or (added and name in params.variants):
        return None
    changed = params.model_copy(update={"variants": {**params.variants, name: variant}})
    try:
        lists = _lists(changed, name)
        changed = changed.model_copy(update={"run": params.run.model_copy(update=lists)})
        recipes = [resolve(changed, dataset, new) for dataset in params.run.datasets for new in changed.run.variants]
    except UserError:
        return None
    recipe = next(recipe for recipe in recipes if recipe.variant == name)
    return {
        "name": name,
        "remedies": _remedies(changed, name),
        "larger": isinstance(recipe, PixelRecipe)
        and _filters(recipe) > _filters(resolve(params, recipe.dataset, BASELINE)),
        "pooling": getattr(recipe, "pooling", None),
        "backbone": getattr(recipe, "backbone", None),
        "settings": [f"+variants.{name}={added}"] * bool(added)
        + [f"run.{key}=[{','.join(names)}]" for key, names in lists.items()],
    }


def _lists(params: Params, name: str) -> dict[str, tuple[str, ...]]:
    """Return the lists of the run that change, with a variant, those that it is compared with, and its start."""
    wanted = [*params.against(name), name]
    if params.variants[name].fine_tune:
        wanted.insert(0, params.start_of(name))
    lists = {}
    for key in ("pixel_variants", "feature_variants", "fine_tune_variants"):
        now: tuple[str, ...] = getattr(params.run, key)
        new = [one for one in dict.fromkeys(wanted) if one not in now and list_of(params.variants[one]) == key]
        if new:
            lists[key] = (*now, *new)
    return lists


def _filters(recipe: VariantRecipe) -> int:
    return sum(recipe.network.filters) if isinstance(recipe, PixelRecipe) else 0


def _remedies(params: Params, name: str) -> list[str]:
    """Return the names of a variant's remedies; none if it does not fit the first dataset."""
    dataset = params.run.datasets[0]
    try:
        recipes = [resolve(params, dataset, one).model_dump(mode="json") for one in (name, BASELINE)]
    except UserError:
        return []
    return sorted(remedy["name"] for remedy in used_remedies(*recipes))
