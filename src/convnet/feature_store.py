"""Features are kept in the job store too: what would come out the same is never computed, nor timed, anew."""

import os
import shutil
from pathlib import Path

from convnet.jobs import BUILDS_A_BACKBONE, STORE, code_digest, library_versions
from convnet.params import Params
from convnet.plans import plan_views, weights_file
from convnet.storage import file_digest, json_digest, link, read_json


def bring_features(params: Params, dataset: str, arrays: Path, backbone: Path, destination: Path) -> None:
    """Fill `destination` with the features of a dataset, from the store or by running the backbone.

    Args:
        params: the whole of params.yaml.
        dataset: its name.
        arrays: folder of the prepare stage.
        backbone: folder of the backbone stage.
        destination: an empty folder, or one that does not exist.

    Raises:
        UserError: variants ask for different augmented views, or the backbone does not fit.
    """
    settings = params.datasets[dataset]
    pretrained = params.backbones[settings.backbone]
    last_layer = settings.last_layer or pretrained.last_layer
    views, weights = plan_views(params, dataset), weights_file(backbone)
    key = json_digest(
        {
            "arrays": read_json(arrays / "dataset.json")["digest"],
            "weights": file_digest(weights),
            "backbone": pretrained.model_dump(mode="json", include=BUILDS_A_BACKBONE),
            "last_layer": last_layer,
            "views": None if views is None else [views.knobs.model_dump(), views.count, views.splits, views.seed],
            "threads": params.engine.threads_per_job,
            "code": [code_digest(), file_digest(Path(__file__).with_name("features.py"))],
            "versions": library_versions(),
        }
    )
    kept = STORE / f"features-{key}"
    if not kept.is_dir():
        # Here and not above: the import costs seconds, and kept features need none of it.
        from convnet.device import configure_device

        configure_device(threads=params.engine.threads_per_job, precision="float32")
        from convnet.features import extract_features

        partial = STORE / f"features-{key}-{os.getpid()}.partial"
        try:
            extract_features(
                arrays, settings.image_size, settings.backbone, pretrained, last_layer, weights, views, partial
            )
            if not kept.is_dir():
                partial.replace(kept)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    destination.mkdir(parents=True, exist_ok=True)
    for path in sorted(kept.iterdir()):
        link(path, destination / path.name)
