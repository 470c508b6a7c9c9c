"""All features that the variants of a run need of one dataset: of one backbone or of several."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convnet.data.arrays import arrays_of_size
from convnet.features.cache import bring_features
from convnet.features.weights import bring_backbone
from convnet.jobs.feature_sets import backbone_folder, recipes_by_set
from convnet.params.schema import Params
from convnet.system.files import write_json


def bring_dataset(
    params: Params, dataset: str, plan: Mapping[str, Any], arrays: Path, backbones: Path, features: Path
) -> list[str]:
    """Bring the weights of every backbone once, and make every set of features.

    Args:
        params: the whole of params.yaml.
        dataset: its name.
        plan: from `plan_features`.
        arrays: folder of the prepare stage.
        backbones: folder for the weights; a second backbone gets a folder in it, named after it.
        features: folder for the features; a second set gets a folder in it, named after the set.

    Returns:
        Notes for the user, one sentence each.

    Raises:
        UserError: weights are not available, or do not fit.
    """
    notes = []
    names = list(dict.fromkeys(used.backbone for used in recipes_by_set(params, dataset)))
    for number, name in enumerate(names):
        notes.append(bring_backbone(params, name, backbones / name if number else backbones))
    if not names:
        write_json(backbones / "backbone.json", {"needed": False})
    for wanted in (plan, *plan.get("others", ())):
        destination = features / wanted.get("folder", "")
        if wanted["needed"]:
            sized = arrays_of_size(arrays, tuple(wanted["image_size"]))
            bring_features(params, wanted, sized, backbone_folder(backbones, wanted["backbone"]), destination)
        else:
            write_json(destination / "features.json", {"needed": False})
    return [note for note in notes if note]
