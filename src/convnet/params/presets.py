"""KerasHub presets as backbones: their names, and what their entries in params.yaml leave out."""

from typing import Any

PRESET = "hub:"  # before the name of a preset, or the folder that holds one
EXTRA = "a KerasHub preset needs one more package; type: pip install 'convnet[hub]'"
POOLED = "pooled"  # the one layer of a preset whose output is used
DEFAULTS: dict[str, Any] = {
    "seen": "the images that the page of this KerasHub preset names",
    "smallest_image": 1,  # the network resizes images to the side of the preset
    "last_layer": POOLED,
    "trainable_from": POOLED,
    "explain_layers": [],
}


def is_preset(architecture: str) -> bool:
    """Return whether an architecture, or an address of weights, is a KerasHub preset."""
    return architecture.startswith(PRESET)


def entry_name(preset: str) -> str:
    """Return the name of a preset's entry under `backbones`: the last part of a folder or of an address."""
    return PRESET + preset.removeprefix(PRESET).rstrip("/").rpartition("/")[2]


def command_of(preset: str) -> str:
    """Return the command that pins a preset."""
    return f"convnet preset {preset}"
