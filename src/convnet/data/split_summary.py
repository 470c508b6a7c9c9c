"""Summarise a manifest: counts, rejected files, duplicates; and the lines that the split stage prints."""

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from convnet.data.duplicates import Duplicates
from convnet.data.splits import SPLITS
from convnet.system.errors import printable

GROUPS_IN_SUMMARY = 50


def summarise(
    sources: dict[str, Any],
    manifest: pd.DataFrame,
    images: npt.NDArray[np.int64],
    found: Duplicates,
    layout: list[str],
) -> dict[str, Any]:
    """Return the content of the split stage's summary.

    Args:
        sources: content of sources.json.
        manifest: the divided manifest.
        images: rows of the files that are images, also of those left out as copies.
        found: duplicates among `images`.
        layout: sentences on how folders, names or a table were read.
    """
    used, rejected = (manifest[manifest["verdict"] == verdict] for verdict in ("accepted", "rejected"))
    noted = used[used["reason"] != ""].rename(columns={"reason": "note"})
    classes = sorted(used["class"].unique().tolist())
    counts = used.groupby(["split", "class"]).size().to_dict()
    groups = [part.tolist() for _, part in manifest.iloc[images].groupby(found.groups, sort=False)["member"]]
    pairs = images[np.concatenate([found.exact_pairs, found.near_pairs])]
    first, second = (manifest.iloc[pairs[:, side]].reset_index(drop=True) for side in (0, 1))
    both = (first["verdict"] == "accepted") & (second["verdict"] == "accepted")
    labels_differ = first["class"] != second["class"]
    two_labels = zip(first.loc[labels_differ, "member"], second.loc[labels_differ, "member"], strict=True)
    sizes = zip(used["height"].tolist(), used["width"].tolist(), strict=True)
    by_area = sorted(map(list, sizes), key=lambda size: (size[0] * size[1], size))
    return {
        "dataset": sources["dataset"],
        "kind": sources["kind"],
        "classes": classes,
        "counts": {split: {name: counts.get((split, name), 0) for name in classes} for split in SPLITS},
        "rejected": rejected[["archive", "member", "reason"]].to_dict("records"),
        "notes": noted[["archive", "member", "note"]].to_dict("records"),
        "layout": layout,
        "groups": int(used.loc[used["group_name"] != "", "group_name"].nunique()),
        "duplicates": {
            "exact_pairs": len(found.exact_pairs),
            "near_pairs": len(found.near_pairs),
            "groups": [members for members in groups if len(members) > 1][:GROUPS_IN_SUMMARY],
            "across_splits": int((both & (first["split"] != second["split"])).sum()),
            "two_labels": [list(members) for members in two_labels],
        },
        "image_sizes": {"smallest": by_area[0], "median": by_area[len(by_area) // 2], "largest": by_area[-1]},
        "bytes_total": int(used["bytes"].sum()),
    }


def by_reason(rejected: list[dict[str, str]]) -> list[tuple[str, list[str]]]:
    """Return each kind of reason with its files, the most frequent first; numbers in a reason make no new kind.

    Args:
        rejected: from the summary.
    """
    kinds: dict[str, tuple[str, list[str]]] = {}
    for entry in rejected:
        kind = re.sub(r"\d[\d,.]*|'.*?'|shows the same image as .* in", "", entry["reason"])
        kinds.setdefault(kind, (entry["reason"], []))[1].append(entry["member"])
    return sorted(kinds.values(), key=lambda found: -len(found[1]))


def rejected_line(summary: dict[str, Any]) -> str | None:
    """Return one line on the rejected files, or None."""
    rejected = summary["rejected"]
    if not rejected:
        return None
    total = len(rejected) + sum(sum(classes.values()) for classes in summary["counts"].values())
    first = rejected[0]
    return printable(
        f"{summary['dataset']}: {len(rejected)} of {total} files rejected, "
        f"the first is {first['member']} in {first['archive']}: {first['reason']}"
    )


def duplicates_line(summary: dict[str, Any]) -> str | None:
    """Return one line on copies of one image in different splits or under two labels, or None."""
    found = summary["duplicates"]
    faults = []
    if found["across_splits"]:
        faults.append(
            f"{found['across_splits']} pairs of one image are in different parts of the official division "
            "(split.repair_leaks: true leaves out the copy nearer to training)"
        )
    if found["two_labels"]:
        first, second = found["two_labels"][0]
        faults.append(
            f"{len(found['two_labels'])} pairs of one image have two labels, the first is {first} and {second}"
        )
    return printable(f"{summary['dataset']}: {'; '.join(faults)}") if faults else None
