"""How many copies of how many images a network is measured on."""

from pathlib import Path

import pytest

from convnet.analysis.perturbations import PERTURBATIONS
from convnet.analysis.robustness_extent import LEAST_IMAGES, MOST_WORK, Extent, Part, extent_for, robustness_parts
from convnet.engine.backbone_work import backbone_multiplications
from convnet.params.load import load_params
from helpers.tiny_study import PROJECT, params

WHOLE = Extent(60, (1, 2, 3))


def test_the_original_and_every_strength_are_copies() -> None:
    assert WHOLE.copies == 1 + 3 * len(PERTURBATIONS)
    assert Extent(60, (3,)).copies == 1 + len(PERTURBATIONS)


def test_small_networks_see_every_strength() -> None:
    assert extent_for(0.0, 60) == WHOLE
    assert extent_for(0.999 * MOST_WORK / (60 * WHOLE.copies), 60) == WHOLE


@pytest.mark.parametrize("multiplications", [1e9, 2e9, 4e9, 8e9, 4e10])
def test_large_networks_see_the_greatest_strength_and_work_is_bounded(multiplications: float) -> None:
    extent = extent_for(multiplications * 2, 60)
    assert extent.strengths == (3,)
    assert LEAST_IMAGES <= extent.images <= 60
    assert extent.images == LEAST_IMAGES or extent.images * extent.copies * multiplications <= MOST_WORK
    assert extent_for(multiplications, 4).images == 4  # never more than params.yaml allows


def test_splits_of_their_own_share_the_work() -> None:
    alone, five = extent_for(4e9, 60), extent_for(4e9, 60, splits=5)
    assert (alone.strengths, five.strengths) == ((3,), (3,))
    assert five.images == int(MOST_WORK / (5 * 8 * 4e9))
    assert extent_for(1e12, 60, splits=5).images == LEAST_IMAGES / 5
    assert extent_for(1e7, 60, splits=5) == WHOLE


def test_inception_at_its_own_size_costs_less_than_its_features_of_500_images() -> None:
    work = sum(backbone_multiplications(load_params(PROJECT / "params.yaml").backbones["inception_v3"], (299, 299)))
    extent = extent_for(work, 60)
    assert extent.strengths == (3,)
    assert extent.images >= 30
    assert extent.images * extent.copies < 500


def test_variants_that_see_the_same_copies_are_one_part(tmp_path: Path) -> None:
    dataset, size = "cats_vs_dogs", (299, 299)
    changes = {"run.datasets": [dataset], f"datasets.{dataset}.image_size": [*size], "robustness.images_per_split": 60}
    chosen = params(tmp_path, changes)
    work = sum(backbone_multiplications(chosen.backbones["inception_v3"], size))
    assert robustness_parts(chosen, dataset) == [
        Part(size, WHOLE, ("baseline",)),
        Part(size, extent_for(work, 60), ("transfer", "fine_tune")),
    ]
    small = params(tmp_path, {**changes, f"datasets.{dataset}.image_size": [150, 150]})  # InceptionV3 can be afforded
    assert robustness_parts(small, dataset) == [Part((150, 150), WHOLE, ("baseline", "transfer", "fine_tune"))]


def test_no_part_where_it_is_switched_off(tmp_path: Path) -> None:
    assert robustness_parts(params(tmp_path, {"robustness.images_per_split": 0}), "tiny") == []
