"""Bring a dataset to where the later stages read it: archives in one folder, and sources.json that lists them."""

import os
import shutil
from pathlib import Path
from typing import Any

from convnet.data.packing import pack_folder
from convnet.download.fetch import Address, fetch
from convnet.params.data import ArchiveSource, Dataset, ReadAs, RenderedSource
from convnet.rendering.datasets import render_archive
from convnet.system.errors import UserError
from convnet.system.files import atomic_path, file_digest, json_digest, link, write_json
from convnet.system.workspace import in_workspace

DOWNLOADS = Path(".downloads")  # not an output of DVC, which deletes outputs before a stage runs again
DATA_VARIABLE = "CONVNET_DATA"  # a folder that holds the archives under their official names


def bring_sources(name: str, dataset: Dataset, destination: Path) -> list[str]:
    """Fill `destination` with the dataset's archives and `sources.json`.

    Returns:
        Notes for the user, one sentence each.

    Raises:
        UserError: a source cannot be downloaded or read, or differs from its checksum.
    """
    destination.mkdir(parents=True, exist_ok=True)
    source = dataset.source
    if source.rendered is not None:
        entries = [_draw(name, source.rendered, destination)]
    elif source.folder is not None:
        entries = [_take_folder(name, in_workspace(Path(source.folder).expanduser()), source.fingerprint, destination)]
    else:
        entries = [_fetch_archive(archive, destination) for archive in source.archives or ()]
    listed = {"dataset": name, "kind": dataset.kind, "sources": entries}
    write_json(destination / "sources.json", listed | reading_entry(source, destination))
    return [f"{entry['file']}: {entry['note']}" for entry in entries if entry["note"]]


def reading_entry(settings: ReadAs, destination: Path) -> dict[str, Any]:
    """Return the entry of sources.json on labels and groups, empty for class folders, and copy the label table.

    Raises:
        UserError: the table is missing or has changed.
    """
    reading = settings.model_dump(mode="json", include={"labels", "groups", "ignore"}, exclude_defaults=True)
    labels = settings.labels
    if labels is not None and labels.table is not None:
        table = in_workspace(Path(labels.table).expanduser())
        if not table.is_file():
            raise UserError(f"the label table {table} is missing: give its path with `convnet init --labels`")
        if labels.fingerprint not in (None, file_digest(table)):
            raise UserError(f"the label table {table} has changed: run `convnet init` again, then `dvc repro`")
        copied = destination / f"labels{table.suffix}"
        with atomic_path(copied, table.stat().st_size) as temporary:
            shutil.copyfile(table, temporary)
        reading["labels"]["table"] = copied.name
    return {"reading": reading} if reading else {}


def data_folder() -> Path | None:
    """Return the folder that CONVNET_DATA names, or None.

    Raises:
        UserError: it does not name a folder.
    """
    value = os.environ.get(DATA_VARIABLE)
    if not value:
        return None
    if not Path(value).is_dir():
        raise UserError(
            f"{DATA_VARIABLE} is {value}, which is not a folder; name one that holds the archives, or unset it"
        )
    return Path(value)


def kept_at(address: Address) -> Path:
    """Return the place of a published file: one folder per address, because two publishers may use one name."""
    return in_workspace(DOWNLOADS) / json_digest(address.urls)[:12] / address.name


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
    return fetch_entry(address, destination, source.split)


def fetch_entry(address: Address, destination: Path, split: str | None) -> dict[str, Any]:
    """Download into the download folder, where a later run finds the file, and link it into `destination`.

    A file on this machine is copied each time, so a change of it counts. A stand-in never replaces it.
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
