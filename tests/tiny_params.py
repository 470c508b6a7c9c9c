"""A params.yaml with which the whole pipeline runs in a copy of the project within a minute or two."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from tiny import change, committed

# What makes the committed params.yaml tiny; everything else stays as it is committed. The pictures keep 32 pixels a
# side, which is what a backbone of two blocks and the third convolution of the course's network leave room for.
TINY_RUN: Mapping[str, Any] = {
    "run.datasets": ["pets"],
    "run.pixel_variants": ["baseline", "dropout"],
    "run.feature_variants": ["transfer"],
    "run.fine_tune_variants": ["fine_tune"],
    "run.seeds": [0, 1],
    "datasets.pets.source.rendered.images_per_class": 20,
    "datasets.pets.source.rendered.image_size": [32, 32],
    "datasets.pets.image_size": [32, 32],
    "datasets.hands.source.rendered.images_per_class": 20,
    "datasets.hands.source.rendered.image_size": [32, 32],
    "datasets.hands.image_size": [32, 32],
    "network": {"filters": [4, 8], "dense": 16},
    "training.epochs": 2,
    "transfer.epochs": 2,
    "transfer.dense": 16,
    "fine_tune.epochs": 1,
    "backbones.compact.pretrain.images_per_class": 10,
    "backbones.compact.pretrain.image_size": [32, 32],
    "backbones.compact.pretrain.filters": [4, 8],
    "backbones.compact.pretrain.fit.epochs": 1,
    "backbones.compact.last_layer": "block2_pool",
    "backbones.compact.trainable_from": "block2_conv",
    "backbones.compact.explain_layers": ["block1_relu"],
    "robustness.images_per_split": 4,
    "explain.images": 2,
    "explain.draws": 2,
    "explain.channels": 4,
}


def write_tiny_params(project: Path, changes: Mapping[str, Any] | None = None) -> None:
    """Replace params.yaml of a copy of the project by its tiny form, with further changes by dotted key."""
    settings = committed()
    for key, value in {**TINY_RUN, **(changes or {})}.items():
        change(settings, key, value)
    (project / "params.yaml").write_text(yaml.safe_dump(settings, sort_keys=False), "utf-8")


def change_params(project: Path, changes: Mapping[str, Any]) -> None:
    """Set values in the params.yaml of a copy of the project by dotted key."""
    path = project / "params.yaml"
    settings = yaml.safe_load(path.read_text("utf-8"))
    for key, value in changes.items():
        change(settings, key, value)
    path.write_text(yaml.safe_dump(settings, sort_keys=False), "utf-8")
