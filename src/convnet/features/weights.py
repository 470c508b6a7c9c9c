"""The weights of a backbone: downloaded and checked, or trained here on rendered source classes."""

import http.client
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from convnet.data.sources import data_folder, fetch_entry, kept_at
from convnet.download.fetch import Address, md5_digest
from convnet.features.hub_weights import take_preset
from convnet.features.pretraining import pretrain_backbone
from convnet.params.backbone import Weights
from convnet.params.presets import is_preset
from convnet.params.schema import Params
from convnet.system.errors import UserError
from convnet.system.files import write_json

SECONDS_TO_REACH = 5.0


def bring_backbone(params: Params, name: str, destination: Path) -> str | None:
    """Fill `destination` with the weight file and backbone.json; return a note for the user, or None.

    Raises:
        UserError: the file is not available or not the named one, or training failed.
    """
    backbone = params.backbones[name]
    destination.mkdir(parents=True, exist_ok=True)
    described: dict[str, Any] = {"needed": True, "backbone": name, "seen": backbone.seen}
    if backbone.pretrain is not None:
        described |= pretrain_backbone(params, name, destination)
    else:
        assert backbone.weights is not None
        entry = fetch_weights(backbone.weights, destination)
        described |= {key: value for key, value in entry.items() if key != "split"}
    write_json(destination / "backbone.json", described)
    note = described.get("note")
    return f"{described['file']}: {note}" if note else None


def fetch_weights(weights: Weights, destination: Path) -> dict[str, Any]:
    """Download a backbone's weight file to `destination`; return its facts as `fetch_entry` does.

    Raises:
        UserError: the file is not available, or has no hash that `weights` names.
    """
    if is_preset(weights.url):
        return _fetch_preset(weights, destination)
    address = Address(urls=(weights.url,), bytes=weights.bytes, sha256=weights.sha256, md5=weights.md5)
    entry = fetch_entry(address, destination, split=None)
    path = destination / entry["file"]
    if entry["sha256"] not in (weights.sha256, *weights.stand_ins) and md5_digest(path) != weights.md5:
        path.unlink()
        raise UserError(
            f"the weight file {address.name} has the SHA-256 {entry['sha256']}, which params.yaml does not name: if "
            "you trust the file, write that under this backbone's weights as sha256, or into stand_ins beside the hash "
            "of the published file"
        )
    return entry


def _fetch_preset(weights: Weights, destination: Path) -> dict[str, Any]:
    entry = take_preset(weights.url, destination)
    if entry["sha256"] not in (weights.sha256, *weights.stand_ins):
        (destination / entry["file"]).unlink()
        raise UserError(
            f"the preset {weights.url} has the SHA-256 {entry['sha256']}, which params.yaml does not name: if you "
            "trust its files, write that under this backbone's weights as sha256"
        )
    return entry


def place_on_this_machine(weights: Weights) -> str | None:
    """Return where the weight file is, among the places that `fetch_weights` searches without a download, or None."""
    file = weights.url.rsplit("/", 1)[-1]
    folder = data_folder()
    if folder and any((place / file).is_file() for place in (folder, folder.resolve().parent / "weights")):
        return "in the folder that CONVNET_DATA names"
    if kept_at(Address(urls=(weights.url,))).is_file():
        return "downloaded already"
    is_local = not weights.url.startswith(("http://", "https://"))
    return "a local file" if is_local and Path(weights.url.removeprefix("file://")).expanduser().is_file() else None


def is_published(weights: Weights) -> bool:
    """Return whether the address of the weights answers."""
    if not weights.url.startswith(("http://", "https://")):
        return False
    try:
        with urllib.request.urlopen(urllib.request.Request(weights.url, method="HEAD"), timeout=SECONDS_TO_REACH):
            return True
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError):  # also a malformed answer
        return False
