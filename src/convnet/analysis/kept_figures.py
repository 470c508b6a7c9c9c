"""Figures that the job store keeps for runs in which nothing that decides them changed."""

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from convnet.jobs.job import STORE, code_digest, library_versions, source_digest
from convnet.jobs.store import keep
from convnet.report.catalogue import language
from convnet.system.files import json_digest, link, read_json, write_json

LISTING = "entries.json"


def bring_figures(kind: str, decides: Mapping[str, Any], draw: Callable[[Path], Any], destination: Path) -> Any:
    """Fill `destination` with figures, from the store or by drawing.

    Args:
        kind: begins the name in the store.
        decides: all that decides the figures, besides code and versions.
        draw: writes the files into a folder and returns the listing, which JSON can hold.
        destination: folder of the explanations.

    Returns:
        The listing.
    """
    versions = library_versions("matplotlib")
    code = [code_digest(), source_digest(["analysis", "report"])]
    kept = STORE / f"{kind}-{json_digest({**decides, 'language': language(), 'code': code, 'versions': versions})}"
    if not kept.is_dir():
        partial = kept.with_name(f"{kept.name}-{os.getpid()}.partial")
        try:
            write_json(partial / LISTING, draw(partial))
            keep(partial, kept)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    for path in sorted(kept.rglob("*")):
        target = destination / path.relative_to(kept)
        if path.is_file() and path.name != LISTING:
            target.parent.mkdir(parents=True, exist_ok=True)
            link(path, target)
    return read_json(kept / LISTING)
