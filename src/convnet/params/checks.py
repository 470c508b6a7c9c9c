"""What pydantic cannot check of params.yaml: names that lead nowhere, overrides, and what does not go together."""

import re
from collections.abc import Mapping
from typing import Any

from convnet.params.messages import check_known, nearest
from convnet.params.presets import command_of, entry_name, is_preset
from convnet.params.recipe import check_length, knobs, of_variant, remedies_of, resolve
from convnet.params.remedies import remedy_keys
from convnet.params.schema import Params
from convnet.params.section import BASELINE, Section
from convnet.params.training import Variant
from convnet.system.errors import UserError

# Names become folders, shell arguments and stage names `<dataset>-<variant>`. Without a hyphen no two stages share one.
# Digits alone would be a number in YAML.
NAME = re.compile(r"[a-z][a-z0-9_]*|[0-9][a-z0-9_]*[a-z_][a-z0-9_]*")
RESERVED = {"best", "size", "nfiles"}  # a folder in models/, and two keys whose changes DVC ignores
LONGEST_NAME = 100  # characters; a file name holds two of them


def is_name(name: str) -> bool:
    """Return whether a dataset or a variant may have this name."""
    return NAME.fullmatch(name) is not None and name not in RESERVED and len(name) <= LONGEST_NAME


def check_params(params: Params) -> None:
    """Check what pydantic cannot: names that lead nowhere, every override, and what does not go together.

    Raises:
        UserError: one sentence with the key, the value and the nearest valid name.
    """
    _check_names(params)
    _check_run(params)
    _check_start(params)
    _check_sweep(params)
    _check_tuning(params)
    _check_backbones(params)
    # All of them, not only those of the run: a typo would else wait for the day its entry is used.
    for variant, diff in params.variants.items():
        sections = _sections(params, diff)
        _check_overrides(diff, sections, f"variants.{variant}")
        for section in sections:
            of_variant(params, section, variant)
        knobs(params, variant)
        remedies_of(params, variant)
        _check_against(params, variant)
    _check_derived(params)
    for dataset, data in params.datasets.items():
        _refuse_start(data.fine_tune, f"datasets.{dataset}.fine_tune")
        for name in ("images", "split", "network", "training", "transfer", "fine_tune"):
            params.of_dataset(name, dataset)
    # Whether images are large enough depends on both; what does not run may be too small.
    for dataset in params.run.datasets:
        for variant in params.run.variants:
            resolve(params, dataset, variant)


def _check_names(params: Params) -> None:
    """A name reaches the shell and the file system."""
    for key in ("datasets", "variants"):
        for name in getattr(params, key):
            if not is_name(name):
                raise UserError(
                    f"params.yaml: {key} has the name {name!r}; write small letters, digits and underscores, not all "
                    f"digits, at most {LONGEST_NAME} characters, and none of {', '.join(sorted(RESERVED))}"
                )


def _check_run(params: Params) -> None:
    """Every name in the run must be defined, and every list must hold variants of its kind."""
    for dataset in params.run.datasets:
        check_known("run.datasets", dataset, params.datasets)
    for key in ("pixel_variants", "feature_variants", "fine_tune_variants"):
        for name in getattr(params.run, key):
            check_known(f"run.{key}", name, params.variants)
            if (right := list_of(params.variants[name])) != key:
                raise UserError(f"params.yaml: run.{key} names {name!r}, which belongs in run.{right}; move it there")


def _check_start(params: Params) -> None:
    """Fine-tuning goes on from a transfer variant that is run too."""
    tuned = [name for name, diff in params.variants.items() if diff.fine_tune]
    for variant in tuned:
        own = "start" in params.variants[variant].overrides
        key, start = f"variants.{variant}.start" if own else "fine_tune.start", params.start_of(variant)
        check_known(key, start, params.variants)
        if list_of(params.variants[start]) != "feature_variants" or params.base_of(start):
            raise UserError(
                f"params.yaml: {key} names {start!r}, which trains no head to go on with; name a variant with "
                "transfer: true"
            )
        if variant in params.run.fine_tune_variants and start not in params.run.feature_variants:
            raise UserError(
                f"params.yaml: {key} names {start!r}, which is not in run.feature_variants; add it there, or "
                "empty run.fine_tune_variants"
            )


def _check_derived(params: Params) -> None:
    """A derived variant is made from one that is run too, with enough seeds on one split."""
    for name in params.run.variants:
        base = params.base_of(name)
        if base is None:
            continue
        if base not in params.run.variants:
            where = list_of(params.variants[base])
            raise UserError(f"params.yaml: {name} is made from {base}, which is not in run.{where}; add it there")
        _, needed = params.trained_for(name, 1)
        if needed > 1 and params.run.own_splits:
            raise UserError(
                f"params.yaml: {name} joins {needed} seeds, which need one split, but run.split is {params.run.split}; "
                "set it to fixed, or take the variant out"
            )
        if needed > len(params.run.seeds):
            raise UserError(
                f"params.yaml: {name} joins {needed} seeds, but run.seeds has {len(params.run.seeds)}; give more"
            )


def _check_sweep(params: Params) -> None:
    """The sweep trains variants of the run, and none that starts from another."""
    for name in params.sweep.variants:
        check_known("sweep.variants", name, params.variants)
        where = list_of(params.variants[name])
        if where == "fine_tune_variants" or params.base_of(name):
            how = "made from another variant" if params.base_of(name) else "fine-tuned"
            raise UserError(
                f"params.yaml: sweep.variants names {name!r}, which is {how}; the sweep trains pixel and feature "
                "variants only, so take it out"
            )
        if params.sweep.enabled is True and name not in params.run.variants:
            raise UserError(
                f"params.yaml: sweep.variants names {name!r}, which is not in run.{where}; add it there, or take it "
                "out of sweep.variants"
            )


def _check_tuning(params: Params) -> None:
    """Tuning must not see a test image or a seed of the study."""
    if not params.tuning.trials:
        return
    if params.tuning.seed in params.run.seeds:
        raise UserError(
            f"params.yaml: tuning.seed is {params.tuning.seed}, which is in run.seeds too; choose another seed"
        )
    if params.run.own_splits:
        raise UserError(
            f"params.yaml: tuning.trials needs one split for all seeds, but run.split is {params.run.split}. Tuning "
            "would train on test images of other seeds. Set tuning.trials to 0 or run.split to fixed"
        )


def _check_against(params: Params, variant: str) -> None:
    """A variant is compared with other variants."""
    for other in params.variants[variant].against:
        check_known(f"variants.{variant}.against", other, params.variants)
        if variant in (other, BASELINE):
            raise UserError(
                f"params.yaml: variants.{variant}.against is {other!r}, but {variant} cannot be compared with it; name "
                "another variant, or take the key out"
            )


def _check_backbones(params: Params) -> None:
    """A dataset's backbone must be defined, and must not have been trained on the classes of a dataset."""
    for name, backbone in params.backbones.items():
        if backbone.pretrain:
            check_length(backbone.pretrain.fit, f"backbones.{name}.pretrain.fit")
    named = {"transfer.backbone": params.transfer.backbone}
    named |= {f"variants.{name}.backbone": diff.overrides.get("backbone") for name, diff in params.variants.items()}
    for dataset, data in params.datasets.items():
        named[f"datasets.{dataset}.transfer.backbone"] = data.transfer.get("backbone")
        _check_backbone(params, f"datasets.{dataset}.backbone", data.backbone)
        for name, backbone in params.backbones.items():
            drawn = data.source.rendered
            if drawn and backbone.pretrain and drawn.name == backbone.pretrain.rendered:
                raise UserError(
                    f"params.yaml: backbones.{name}.pretrain.rendered is {drawn.name!r}, which datasets.{dataset} "
                    "draws too, so the backbone would be trained on the classes it is tested on; choose another"
                )
    for key, value in named.items():
        if isinstance(value, str):  # another type is refused with the section
            _check_backbone(params, key, value)


def _check_backbone(params: Params, key: str, name: str) -> None:
    if is_preset(name) and name not in params.backbones:
        entry = entry_name(name)
        right = "" if entry == name else f", and name {entry} here"
        raise UserError(f"params.yaml: {key} is {name!r}, whose hash is not pinned; type: {command_of(name)}{right}")
    check_known(key, name, params.backbones)


def _sections(params: Params, diff: Variant) -> list[Section]:
    """Return the sections that a variant trains by."""
    if diff.fine_tune:
        return [params.fine_tune]
    return [params.transfer] if diff.transfer else [params.training, params.network]


def _check_overrides(diff: Variant, sections: list[Section], where: str) -> None:
    """Every key of a variant must be a flag of its own, or a setting of a section it trains by."""
    if diff.fine_tune and "dropout" in diff.model_fields_set:
        raise UserError(
            f"params.yaml: {where}.dropout is {diff.dropout}, but fine-tuning goes on with the head of its start; set "
            "it in the variant that fine_tune.start names"
        )
    settings = (key for section in sections for key in type(section).model_fields)
    names = [*type(diff).model_fields, *remedy_keys(), *settings]
    for key in diff.overrides:
        if key not in names:
            raise UserError(f"params.yaml: unknown key {where}.{key}{nearest(key, names)}")


def _refuse_start(overrides: Mapping[str, Any], where: str) -> None:
    """Datasets share the variants of a run, and so their starts."""
    if "start" in overrides:
        raise UserError(
            f"params.yaml: {where}.start is {overrides['start']!r}; set it as fine_tune.start, or in a variant"
        )


def list_of(variant: Variant) -> str:
    """Return the list of the run that a variant belongs in."""
    if variant.fine_tune:
        return "fine_tune_variants"
    return "feature_variants" if variant.transfer else "pixel_variants"
