"""The grey values of a dataset of more than 8 bits that become 0 and 255."""

from typing import TYPE_CHECKING, Literal

from convnet.data.grey_levels import FULL, GREY_16_BIT, GreyRange
from convnet.params.data import Images

if TYPE_CHECKING:
    import pandas as pd

FEW_VALUES = 1 / 4  # of the 16 bits; a dataset that uses less is scaled by its own range


def dataset_range(lowest: int, highest: int, wish: Literal["auto", "full"] | GreyRange) -> GreyRange:
    """Return the grey values that become 0 and 255.

    Args:
        lowest: of all images of the dataset in 16-bit grey.
        highest: of all of them; below `lowest` without such an image.
        wish: `images.grey_range`. auto takes the range of the dataset if it is less than a quarter of the 16 bits.
    """
    if not isinstance(wish, str):
        return wish
    if wish == "auto" and 0 < highest - lowest < FEW_VALUES * FULL[1]:
        return lowest, highest
    return FULL


def resolved(images: Images, manifest: "pd.DataFrame") -> Images:
    """Return the settings with the grey range of a dataset in the place of auto or full.

    Args:
        images: the settings.
        manifest: of the dataset.
    """
    return images.model_copy(update={"grey_range": range_of(images, manifest)})


def range_of(images: Images, manifest: "pd.DataFrame") -> GreyRange:
    """Return the grey values that become 0 and 255 in all images of a dataset."""
    grey = deep_grey(manifest)
    if not len(grey):
        return dataset_range(FULL[1], 0, images.grey_range)
    return dataset_range(int(grey["grey_low"].min()), int(grey["grey_high"].max()), images.grey_range)


def deep_grey(manifest: "pd.DataFrame") -> "pd.DataFrame":
    """Return the accepted images of more than 8 bits."""
    return manifest[(manifest["verdict"] == "accepted") & manifest["mode"].isin(GREY_16_BIT)]
