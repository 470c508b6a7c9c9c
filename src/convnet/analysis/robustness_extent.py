"""On how many images, and on how many perturbed copies of them, each network is measured.

Importing this module loads no Keras.
"""

import math
from dataclasses import dataclass, replace

from convnet.analysis.perturbations import PERTURBATIONS, STRENGTHS
from convnet.engine.backbone_work import backbone_multiplications
from convnet.params.recipe import BackboneRecipe, VariantRecipe, resolve
from convnet.params.schema import Params

MOST_WORK = 2e12  # multiplications of one backbone on all copies: about 40 s of one core
LEAST_IMAGES = 20  # of all splits together


@dataclass(frozen=True)
class Extent:
    """How many images, and which strengths of each perturbation; from 1, the weakest, on."""

    images: int
    strengths: tuple[int, ...]

    @property
    def copies(self) -> int:
        """The copies of the images, the original included."""
        return 1 + len(PERTURBATIONS) * len(self.strengths)


def extent_for(multiplications: float, most_images: int, splits: int = 1) -> Extent:
    """Return what a network is measured on; a large one sees the greatest strength alone, then fewer images.

    A number of multiplications decides, not a clock, so that equal settings give equal numbers.

    Args:
        multiplications: of its backbone for one image; 0 without a backbone.
        most_images: robustness.images_per_split of params.yaml.
        splits: sets of validation images, each with copies of its own.
    """
    whole, of_image = Extent(most_images, tuple(range(1, STRENGTHS + 1))), splits * multiplications
    if whole.copies * most_images * of_image <= MOST_WORK:
        return whole
    least = Extent(most_images, (STRENGTHS,))
    affordable = int(MOST_WORK / (least.copies * of_image))
    return replace(least, images=min(most_images, max(math.ceil(LEAST_IMAGES / splits), affordable)))


@dataclass(frozen=True)
class Part:
    """Variants that see the same copies."""

    image_size: tuple[int, int]
    extent: Extent
    variants: tuple[str, ...]


def robustness_parts(params: Params, dataset: str) -> list[Part]:
    """Return the variants of the run in parts, which can be measured at once; none if params.yaml switches it off."""
    if params.robustness.images_per_split == 0:
        return []
    parts: dict[tuple[tuple[int, int], Extent], list[str]] = {}
    for variant in params.run.variants:
        recipe = resolve(params, dataset, variant)
        parts.setdefault((recipe.image_size, _extent(params, recipe)), []).append(variant)
    return [Part(size, extent, tuple(variants)) for (size, extent), variants in parts.items()]


def _extent(params: Params, recipe: VariantRecipe) -> Extent:
    work = 0.0
    if isinstance(recipe, BackboneRecipe) and (backbone := params.backbones[recipe.backbone]).pretrain is None:
        work = sum(backbone_multiplications(backbone, recipe.image_size))
    splits = len(params.run.seeds) if params.run.own_splits else 1
    return extent_for(work, params.robustness.images_per_split, splits)
