"""The files of a KerasHub preset as one file, so that one hash pins them and they are stored as other weights are."""

import zipfile
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from convnet.data.sources import DOWNLOADS, data_folder
from convnet.params.presets import EXTRA, PRESET, command_of, entry_name
from convnet.system.errors import UserError
from convnet.system.files import atomic_path, file_digest, json_digest, link
from convnet.system.workspace import in_workspace

FILES = ("config.json", "image_converter.json", "model.weights.h5")
BLOCK = 2**20  # bytes


def take_preset(preset: str, destination: Path) -> dict[str, Any]:
    """Put the packed files of a preset into `destination`; return the facts that the backbone stage writes.

    Raises:
        UserError: the preset is not on this machine.
    """
    kept, path = kept_preset(preset), destination / f"{_folder_name(preset)}.zip"
    if folder := local_preset(preset):
        pack({name: folder / name for name in FILES}, path)
    elif kept.is_file():
        link(kept, path)
    else:
        raise UserError(f"the preset {preset} is not on this machine; type: {command_of(preset)}")
    origin = "a local folder" if folder else "downloaded"
    facts = {"file": path.name, "sha256": file_digest(path), "bytes": path.stat().st_size}
    return {**facts, "origin": origin, "address": preset, "note": None}


def local_preset(preset: str) -> Path | None:
    """Return the folder of a preset: below CONVNET_DATA or `weights` beside it, or the named one; None without one."""
    places = [Path(preset.removeprefix(PRESET)).expanduser()] if "/" in preset else []
    if folder := data_folder():
        places = [place / _folder_name(preset) for place in (folder, folder.resolve().parent / "weights")] + places
    return next((place for place in places if (place / FILES[0]).is_file()), None)


def kept_preset(preset: str) -> Path:
    """Return the place of a downloaded preset."""
    return in_workspace(DOWNLOADS) / json_digest(preset)[:12] / f"{_folder_name(preset)}.zip"


def hub_version() -> dict[str, str]:
    """Return the version of KerasHub by its name.

    Raises:
        UserError: the extra is not installed.
    """
    try:
        return {"keras-hub": version("keras-hub")}
    except PackageNotFoundError as error:
        raise UserError(EXTRA) from error


def pack(files: Mapping[str, Path], archive: Path) -> None:
    """Write files into an archive; equal files give equal bytes.

    Raises:
        UserError: a file is missing, so the folder holds no preset of a network for images.
    """
    for name, path in files.items():
        if not path.is_file():
            raise UserError(f"{path.parent} holds no {name}; name a KerasHub preset of a network for images")
    archive.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(archive) as temporary, zipfile.ZipFile(temporary, "w") as packed:
        for name, path in files.items():
            part = zipfile.ZipInfo(name)  # of 1980, not of today
            with path.open("rb") as source, packed.open(part, "w", force_zip64=True) as target:
                while block := source.read(BLOCK):
                    target.write(block)


def _folder_name(preset: str) -> str:
    return entry_name(preset).removeprefix(PRESET)
