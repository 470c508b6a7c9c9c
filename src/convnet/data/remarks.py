"""Remarks on a dataset: facts of its files that would spoil a study, one sentence each."""

import pandas as pd

from convnet.data.grey import FEW_VALUES, deep_grey, range_of
from convnet.data.grey_levels import FULL
from convnet.data.splits import planned_cut
from convnet.params.data import Images, Split

SHARE = 0.9  # of a class with a property, and at most 1 - SHARE of each other class
FEWEST = 5  # images of a class
BRIGHTNESS_ACCURACY = 0.9  # of the best brightness threshold between two classes
CUT_MISSED = 0.1  # of the divided images


def remarks(manifest: pd.DataFrame, images: Images) -> list[str]:
    """Return what may spoil a study on this dataset, one sentence each.

    Args:
        manifest: of the dataset.
        images: the settings that the manifest was made with.
    """
    used = manifest[manifest["verdict"] == "accepted"]
    found = [*_only_in_one_class(used), *_brightness(used)]
    flat = used[used["contrast"] == 0]
    if len(flat):
        found.append(
            f"{len(flat):,} images have one colour only, the first is {flat['member'].iloc[0]}{_advice(flat, images)}"
        )
    pages = used[used["reason"].str.contains("first of")]
    if len(pages):
        found.append(f"{len(pages):,} files have several pages; only the first counts, as in {pages['member'].iloc[0]}")
    return found + _grey(manifest, images)


def cut_remark(manifest: pd.DataFrame, split: Split) -> str | None:
    """Return a remark if the cut missed its shares by more than a tenth of the images it divided, or None.

    Args:
        manifest: the divided manifest.
        split: the shares that the settings ask for.
    """
    used = manifest[manifest["verdict"] == "accepted"]
    given = set(used["official_split"]) - {""}
    pool, shares = planned_cut(given, split.validation, split.test, split.test_from_validation)
    cut = used[used["official_split"].isin(pool)]
    parts = cut["split"].value_counts(normalize=True)
    missed = {name: abs(parts.get(name, 0.0) - share) for name, share in shares.items()}
    name = max(missed, key=lambda part: missed[part], default=None)
    if name is None or missed[name] <= CUT_MISSED:
        return None
    largest = int(cut["group"].value_counts().max())
    if largest > max(1, CUT_MISSED * len(cut)):
        reason = f"{largest:,} images stay together as one group"
    else:
        reason = f"the smallest class has {int(cut['class'].value_counts().min()):,} images, and each split needs one"
    found = f"{name} holds {parts.get(name, 0.0):.0%} of the {len(cut):,} images that were divided"
    return f"{found}, not the {shares[name]:.0%} of the settings: {reason}"


def _only_in_one_class(used: pd.DataFrame) -> list[str]:
    sizes = used["width"].astype(str) + "x" + used["height"].astype(str)
    depth = used["mode"].str.startswith("I").map({True: "16-bit grey", False: "8 bits"})
    found = []
    for what, values in (("format", used["format"]), ("colour mode", used["mode"]), ("depth", depth), ("size", sizes)):
        shares = pd.crosstab(used["class"], values, normalize="index")
        for value in shares.columns:
            high, low = shares.index[shares[value] >= SHARE], shares.index[shares[value] <= 1 - SHARE]
            if len(high) == 1 and len(low) == len(shares) - 1:
                found.append(f"only class {high[0]!r} has the {what} {value}; a network can learn this instead")
                break
    return found


def _brightness(used: pd.DataFrame) -> list[str]:
    """Compare each class with all others by the best threshold on the mean brightness."""
    found = []
    for name in sorted(used["class"].unique()):
        inside = used["class"] == name
        if min(inside.sum(), (~inside).sum()) < FEWEST:
            continue
        counts = pd.crosstab(used["brightness"], inside, normalize="columns").cumsum()
        accuracy = 0.5 + float((counts[True] - counts[False]).abs().max()) / 2  # balanced
        if accuracy >= BRIGHTNESS_ACCURACY:
            found.append(
                f"the mean brightness alone separates class {name!r} from the others in {accuracy:.0%} of cases"
            )
    return found[:1] if used["class"].nunique() == 2 else found


def _advice(flat: pd.DataFrame, images: Images) -> str:
    transparent = flat["mode"].isin(["RGBA", "LA", "PA", "P"]).any()
    return f"; images.background is {images.background}, try another" if transparent else ""


def _grey(manifest: pd.DataFrame, images: Images) -> list[str]:
    grey = deep_grey(manifest)
    if not len(grey):
        return []
    low, high = int(grey["grey_low"].min()), int(grey["grey_high"].max())
    used = range_of(images, manifest)
    if used == FULL and high - low < FEW_VALUES * FULL[1]:
        return [
            f"the grey values {low:,} to {high:,} use {(high - low) / FULL[1]:.1%} of 16 bits, so the images are "
            "nearly of one colour; set images.grey_range to auto"
        ]
    return [f"16-bit grey values {used[0]:,} to {used[1]:,} become 0 to 255"]
