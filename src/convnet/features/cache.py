"""Features in the job store: equal features are computed, and timed, once."""

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from convnet.features.hub_weights import hub_version
from convnet.jobs.feature_plan import views_of
from convnet.jobs.job import BUILDS_A_BACKBONE, STORE, UsedBackbone, code_digest, library_versions, source_digest
from convnet.jobs.planning import weights_file
from convnet.jobs.store import keep
from convnet.params.backbone import Backbone
from convnet.params.schema import Params
from convnet.system.errors import UserError
from convnet.system.files import file_digest, json_digest, link, read_json


def bring_features(params: Params, plan: Mapping[str, Any], arrays: Path, backbone: Path, destination: Path) -> None:
    """Fill `destination` with the features of a dataset, from the store or by running the backbone.

    Args:
        params: the whole of params.yaml.
        plan: from `plan_features`, with features needed.
        arrays: folder of the prepare stage.
        backbone: folder of the backbone stage.
        destination: an empty folder, or one that does not exist.

    Raises:
        UserError: the backbone does not fit its weight file, or has no layer of that name.
    """
    image_size, weights = tuple(plan["image_size"]), weights_file(backbone)
    name, settings, last_layer = plan["backbone"], Backbone.model_validate(plan["settings"]), plan["last_layer"]
    decides = {
        "arrays": read_json(arrays / "dataset.json")["digest"],
        "weights": file_digest(weights),
        "backbone": settings.model_dump(mode="json", include=BUILDS_A_BACKBONE),
        "last_layer": last_layer,
        "threads": params.engine.threads_per_job,
        "code": [code_digest(), source_digest(["features/extraction.py"])],
        "versions": library_versions() | (hub_version() if settings.is_preset else {}),
    }

    used = UsedBackbone(name, settings, weights, last_layer)

    # The imports cost seconds, and stored features need none of them.
    def make_features(folder: Path) -> None:
        from convnet.features.extraction import extract_features

        extract_features(arrays, image_size, used, folder)

    def make_views(folder: Path) -> None:
        from convnet.features.extraction import extract_views

        extract_views(arrays, image_size, used, views_of(plan), folder)

    threads = params.engine.threads_per_job
    folders = [_kept(f"features-{json_digest(decides)}", "features.json", make_features, threads)]
    if plan["views"]:  # apart, so that a variant with views changes nothing for the others
        folders.append(_kept(f"views-{json_digest([decides, plan['views']])}", "views.json", make_views, threads))
    destination.mkdir(parents=True, exist_ok=True)
    for folder in folders:
        for path in sorted(folder.iterdir()):
            link(path, destination / path.name)


def _kept(name: str, listing: str, make: Callable[[Path], None], threads: int) -> Path:
    """Return a folder of the store; `make` fills it unless the files that `listing` names are whole."""
    kept = STORE / name
    if kept.is_dir():
        if _whole(kept, listing):
            return kept
        print(f"{kept} is damaged: computing it again", file=sys.stderr)
        shutil.rmtree(kept)
    from convnet.backend.device import configure_device

    configure_device(threads=threads, precision="float32")
    partial = STORE / f"{name}-{os.getpid()}.partial"
    try:
        make(partial)
        keep(partial, kept)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return kept


def _whole(kept: Path, listing: str) -> bool:
    """Return whether every listed file has its first digest; a stage's output may share its bytes."""
    try:
        files = read_json(kept / listing)["files"]
        return all(file_digest(kept / f"{name}.npy") == digest for name, digest in files.items())
    except (UserError, OSError):
        return False
