"""Bring a dataset to where the later stages read it: archives in one folder, and sources.json that lists them."""

import os
from pathlib import Path
from typing import Any

from convnet.downloads import Address, fetch, md5_digest
from convnet.errors import UserError
from convnet.folders import pack_folder
from convnet.params import ArchiveSource, Dataset, RenderedSource, Weights
from convnet.render import render_archive
from convnet.storage import file_digest, json_digest, link, write_json

DOWNLOADS = Path(".downloads")  # outside of DVC's outputs, which are deleted before a stage runs again
DATA_VARIABLE = "CONVNET_DATA"  # a folder that holds the archives under their official names


def bring_sources(name: str, dataset: Dataset, destination: Path) -> list[str]:
    """Fill `destination` with the dataset's archives and `sources.json`.

    Returns:
        What the user should know, one sentence each.

    Raises:
        UserError: a source cannot be had, or is not what it should be.
    """
    destination.mkdir(parents=True, exist_ok=True)
    source = dataset.source
    if source.rendered is not None:
        entries = [_draw(name, source.rendered, destination)]
    elif source.folder is not None:
        entries = [_take_folder(name, Path(source.folder).expanduser(), source.fingerprint, destination)]
    else:
        entries = [_fetch_archive(archive, destination) for archive in source.archives or ()]
    write_json(destination / "sources.json", {"dataset": name, "pictures": dataset.pictures, "sources": entries})
    return [f"{entry['file']}: {entry['note']}" for entry in entries if entry["note"]]


def fetch_weights(weights: Weights, destination: Path) -> dict[str, Any]:
    """Bring a backbone's weight file to `destination`; return what is known of it.

    Raises:
        UserError: the file cannot be had, or is not one that `weights` names by a hash.
    """
    address = Address(urls=(weights.url,), bytes=weights.bytes, sha256=weights.sha256, md5=weights.md5)
    entry = _fetch(address, destination, split=None)
    path = destination / entry["file"]
    if entry["sha256"] not in (weights.sha256, *weights.stand_ins) and md5_digest(path) != weights.md5:
        path.unlink()
        raise UserError(
            f"the weight file {address.name} has the SHA-256 {entry['sha256']}, which params.yaml does not name: if "
            "you trust the file, write that under this backbone's weights as sha256, or into stand_ins beside the hash "
            "of the published file"
        )
    return entry


def data_folder() -> Path | None:
    """Return the folder that CONVNET_DATA names, or None.

    Raises:
        UserError: it names no folder.
    """
    value = os.environ.get(DATA_VARIABLE)
    if not value:
        return None
    if not Path(value).is_dir():
        raise UserError(
            f"{DATA_VARIABLE} is {value}, which is no folder; name one that holds the archives, or unset it"
        )
    return Path(value)


def kept_at(address: Address) -> Path:
    """Return where a published file is kept: a folder per address, since two publishers may use one name."""
    return DOWNLOADS / json_digest(address.urls)[:12] / address.name


def _draw(name: str, source: RenderedSource, destination: Path) -> dict[str, Any]:
    path = destination / f"{name}.zip"
    render_archive(source.name, source.images_per_class, source.seed, source.image_size, path)
    return _entry(path, "rendered", f"drawn here, seed {source.seed}", None, None)


def _take_folder(name: str, folder: Path, fingerprint: str | None, destination: Path) -> dict[str, Any]:
    if folder.is_file():
        entry = _fetch_archive(ArchiveSource(url=str(folder)), destination)
    else:
        path = destination / f"{name}.zip"
        note = pack_folder(folder, path)
        entry = _entry(path, "folder", folder.name, None, note)
    if fingerprint not in (None, entry["sha256"]):
        raise UserError(f"{folder} has changed since `convnet init`: run it again, then `dvc repro`")
    return entry


def _fetch_archive(source: ArchiveSource, destination: Path) -> dict[str, Any]:
    address = Address(urls=(source.url, *source.mirrors), bytes=source.bytes, sha256=source.sha256)
    return _fetch(address, destination, source.split)


def _fetch(address: Address, destination: Path, split: str | None) -> dict[str, Any]:
    """Fetch into the download folder, where a later run finds it again, and link it into `destination`.

    A file on this machine is copied anew each time, so a change of it is seen, and is never replaced by a stand-in.
    """
    path = destination / address.name
    path.unlink(missing_ok=True)
    if not address.published:
        fetched = fetch(address, path, redirect_folder=None)
        return _entry(path, fetched.origin, address.name, split, fetched.note)
    fetched = fetch(address, kept_at(address), redirect_folder=data_folder())
    link(fetched.path, path)
    shown = address.urls[0] if "://" in address.urls[0] and not address.urls[0].startswith("file:") else address.name
    return _entry(path, fetched.origin, shown, split, fetched.note)


def _entry(path: Path, origin: str, address: str, split: str | None, note: str | None) -> dict[str, Any]:
    return {
        "file": path.name,
        "split": split,
        "sha256": file_digest(path),
        "bytes": path.stat().st_size,
        "origin": origin,
        "address": address,
        "note": note,
    }
