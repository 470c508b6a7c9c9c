"""The settings that each stage depends on, resolved from params.yaml into one JSON file per stage.

A stage depends on its file instead of on keys of params.yaml. An entry that no variant of the run uses, or a section
that a dataset overrides, therefore reruns nothing but the plan. dvc.lock holds one checksum per stage instead of whole
sections.
"""

from pathlib import Path
from typing import Any

from convnet import remedies
from convnet.jobs.feature_plan import plan_features
from convnet.jobs.feature_sets import recipes_by_set
from convnet.jobs.job import BUILDS_A_BACKBONE
from convnet.params.recipe import VariantRecipe, other_sizes, resolve
from convnet.params.remedies import used_remedies
from convnet.params.schema import Params
from convnet.params.section import BASELINE, Section
from convnet.pipeline.untried import untried
from convnet.system.files import write_json


def write_plans(params: Params, folder: Path) -> None:
    """Write `<dataset>/<stage>.json`, `run.json`, `tried.json` and `untried.json` into an empty or new folder."""
    for dataset in params.run.datasets:
        for stage, content in plans_of(params, dataset).items():
            write_json(folder / dataset / f"{stage}.json", content)
    write_json(folder / "run.json", plan_of_run(params))
    write_json(folder / "tried.json", {dataset: remedies_tried(params, dataset) for dataset in params.run.datasets})
    write_json(folder / "untried.json", untried(params))


def remedies_tried(params: Params, dataset: str) -> dict[str, list[dict[str, Any]]]:
    """Return what the report prints about the remedies of each variant: name, sentence, source and knobs."""
    assert remedies.__path__  # the folder of the modules that `used_remedies` finds
    baseline = _dump(resolve(params, dataset, BASELINE))
    return {
        variant: used_remedies(_dump(resolve(params, dataset, variant)), baseline) for variant in params.run.variants
    }


def plan_of_run(params: Params) -> dict[str, Any]:
    """Return the settings of the comparison."""
    return _dump(params.run) | {"against": {variant: params.against(variant) for variant in params.run.variants}}


def plans_of(params: Params, dataset: str) -> dict[str, Any]:
    """Return the settings of every stage of a dataset, by the stage's name."""
    data = params.dataset(dataset)
    recipes = {variant: resolve(params, dataset, variant) for variant in params.run.variants}
    seeds = {variant: params.seeds_of(dataset, variant) for variant in params.run.variants}
    common = {"seeds": seeds, "split": params.run.split, "threads": params.engine.threads_per_job}
    if params.run.split == "folds":
        common["fold_seed"] = params.split_rules(dataset).seed
    first, *more = _backbones(params, dataset) or [data.backbone]
    jobs = common | {"backbone": _dump(params.backbones[first], BUILDS_A_BACKBONE)}
    if more:
        jobs |= {"more_backbones": {name: _dump(params.backbones[name], BUILDS_A_BACKBONE) for name in more}}
    sizes = other_sizes(params, dataset)
    return {
        "download": {"kind": data.kind, "source": _dump(data.source)},
        "split": {
            "images": _dump(params.of_dataset("images", dataset)),
            "split": _dump(params.split_rules(dataset)),
            "entry": _entry(params, dataset),
        },
        "prepare": {"images": _dump(params.of_dataset("images", dataset)), "image_size": data.image_size}
        | ({"other_sizes": sizes} if sizes else {}),
        "features": plan_features(params, dataset) | _weights(params, dataset),
        "train": jobs | {"recipes": _dumped(recipes)},
        "evaluate": {"variants": params.run.variants},
        "tune": _tune(params, recipes, jobs),
        "look": common | {
            "recipes": _dumped(recipes),
            "layers": [layer for name in (first, *more) for layer in params.backbones[name].explain_layers],
            "explain": _dump(params.explain),
            "robustness": _dump(params.robustness),
            "split_seed": params.split.seed,
            "report": _dump(params.report),
        },
        "sweep": _sweep(params, dataset, jobs),
        "best": {"variants": params.run.variants},
    }  # fmt: skip


def _backbones(params: Params, dataset: str) -> list[str]:
    """Return the backbones that the run uses, in its order."""
    return list(dict.fromkeys(used.backbone for used in recipes_by_set(params, dataset)))


def _weights(params: Params, dataset: str) -> dict[str, Any]:
    """Return the settings that decide the weights of a dataset's backbones."""
    names = _backbones(params, dataset)
    more = {name: _backbone(params, name) for name in names[1:]}
    stage = {"backbone_stage": _backbone(params, names[0]) if names else None}
    return stage | ({"more_backbones": more} if more else {})


def _backbone(params: Params, name: str) -> dict[str, Any]:
    backbone = params.backbones[name]
    content: dict[str, Any] = {"entry": _dump(backbone), "threads": params.engine.threads_per_job}
    if backbone.pretrain is not None:
        content |= {"images": _dump(params.images), "split": _dump(params.split)}
        knobs = backbone.pretrain.augmented_by(params.augmentation)
        content["augmentation"] = _dump(knobs) if knobs else None
    return content


def _tune(params: Params, recipes: dict[str, VariantRecipe], jobs: dict[str, Any]) -> dict[str, Any]:
    if not params.tuning.trials:
        return {"trials": 0}
    return jobs | _dump(params.tuning) | {"recipes": _dumped(recipes), "seeds": [params.tuning.seed]}


def _sweep(params: Params, dataset: str, jobs: dict[str, Any]) -> dict[str, Any]:
    recipes = {variant: resolve(params, dataset, variant) for variant in params.swept(dataset)}
    if not recipes:
        return {"enabled": False}
    seeds = {"seeds": params.run.seeds}
    return jobs | seeds | {"enabled": True, "shares": params.sweep.shares, "recipes": _dumped(recipes)}


def _entry(params: Params, dataset: str) -> dict[str, Any]:
    """Return a dataset's entry without the settings of models and of training."""
    trained = {"network", "training", "transfer", "fine_tune", "backbone", "last_layer", "images", "split", "recipe"}
    return params.datasets[dataset].model_dump(mode="json", exclude=trained)


def _dumped(recipes: dict[str, VariantRecipe]) -> dict[str, Any]:
    return {variant: _dump(recipe) for variant, recipe in recipes.items()}


def _dump(section: Section, include: set[str] | None = None) -> dict[str, Any]:
    return section.model_dump(mode="json", include=include)
