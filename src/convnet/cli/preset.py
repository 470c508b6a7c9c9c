"""`convnet preset`: download a KerasHub preset, and pin its hash and its facts in params.yaml."""

import argparse
from pathlib import Path

from convnet.params.presets import PRESET, entry_name, is_preset
from convnet.system.errors import UserError, printable

HELP = "download a KerasHub preset, and pin its hash and its facts in params.yaml"
EXAMPLE = "convnet preset hub:dinov2_small"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that `run` reads."""
    parser.add_argument("preset", help="hub:NAME of a preset, or hub:FOLDER that holds one")


def run(arguments: argparse.Namespace) -> None:
    """Pack the files of the preset into the download folder, and write its entry under `backbones`.

    Raises:
        UserError: the extra is not installed, the preset is not available, or its files are not the pinned ones.
    """
    preset = arguments.preset
    if not is_preset(preset) or preset == PRESET:
        raise UserError(f"{preset} is not a preset; write {PRESET} before its name, as in {EXAMPLE}")
    # Imported late, because it costs seconds. The device comes first: it silences the libraries that follow.
    from convnet.backend.device import configure_device

    configure_device(threads=None, precision="float32")
    from convnet.features.hub_weights import FILES, kept_preset, local_preset, pack
    from convnet.models.hub import describe_preset, find_files, import_hub
    from convnet.params.edit import write_backbone
    from convnet.system.files import file_digest

    import_hub()
    folder, archive = local_preset(preset), kept_preset(preset)
    pack({name: folder / name for name in FILES} if folder else find_files(preset, FILES), archive)
    facts, name = describe_preset(archive), entry_name(preset)
    weights = {"url": preset, "sha256": file_digest(archive)}
    write_backbone(Path("params.yaml"), name, {"architecture": name, "weights": weights, **facts})
    side = facts["native_size"]
    print(printable(f"params.yaml knows the backbone {name}; name it as a dataset's or a variant's backbone"))
    if side is not None:
        print(f"its images are {side}x{side}; others are resized inside the network")
