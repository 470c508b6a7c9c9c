"""Jobs are planned only from what is whole, and only if they can be run."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from convnet.data.arrays import check_batch_sizes
from convnet.jobs.planning import plan_jobs, weights_file
from convnet.system.errors import UserError
from helpers import tiny_study as tiny

IMAGES = tiny.COUNTS["train"]


@pytest.fixture(scope="module")
def whole_backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tiny.start_keras()
    return tiny.write_backbone(tmp_path_factory.mktemp("whole") / "backbone")


@pytest.fixture
def backbone(whole_backbone: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole_backbone, tmp_path / "backbone"))


def test_weight_file_is_the_one_that_the_stage_described(backbone: Path) -> None:
    assert weights_file(backbone) == backbone / "source.keras"


def test_swapped_weight_file_is_refused(backbone: Path, tmp_path: Path) -> None:
    tiny.write_params(tmp_path)
    arrays = tiny.write_arrays(tmp_path / "arrays")
    weights = backbone / "source.keras"
    # One byte of the weights: Keras would load it without a word.
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    refused = r"source\.keras is refused: it is not the file that the backbone\.json beside it describes"
    with pytest.raises(UserError, match=refused):
        weights_file(backbone)
    with pytest.raises(UserError, match=refused):
        plan_jobs(tiny.params(tmp_path), "transfer", arrays, backbone=backbone)


def test_missing_weight_file_is_one_sentence(backbone: Path) -> None:
    (backbone / "source.keras").unlink()
    with pytest.raises(UserError, match=r"source\.keras is missing; run `dvc repro` to make it"):
        weights_file(backbone)


@pytest.mark.parametrize(
    ("changes", "variant"),
    [
        ({"training.batch_size": IMAGES + 1}, "baseline"),
        ({"transfer.batch_size": IMAGES + 1}, "transfer"),
        ({"fine_tune.batch_size": IMAGES + 1}, "fine_tune"),
        ({"datasets.tiny.transfer": {"batch_size": IMAGES + 1}}, "transfer"),
        ({"variants.augmented.batch_size": IMAGES + 1, "run.pixel_variants": ["baseline", "augmented"]}, "augmented"),
    ],
)
def test_batch_larger_than_the_training_set_is_refused_for_every_variant_of_the_run(
    tmp_path: Path, changes: Mapping[str, Any], variant: str
) -> None:
    told = f"tiny/{variant}: batch_size is {IMAGES + 1}, but there are only {IMAGES} training images; make it smaller"
    with pytest.raises(UserError, match=told):
        check_batch_sizes(tiny.params(tmp_path, changes), "tiny", IMAGES, classes=2)
    check_batch_sizes(tiny.params(tmp_path, changes), "tiny", IMAGES + 1, classes=2)


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_batch_larger_than_the_training_set_is_refused_before_any_job(tmp_path: Path, share: float) -> None:
    arrays = tiny.write_arrays(tmp_path / "arrays")
    images = round(share * IMAGES)
    plan_jobs(tiny.params(tmp_path, {"training.batch_size": images}), "baseline", arrays, share=share)
    too_large = tiny.params(tmp_path, {"training.batch_size": images + 1})
    with pytest.raises(UserError, match=f"tiny/baseline: batch_size is {images + 1}, .* only {images} training images"):
        plan_jobs(too_large, "baseline", arrays, share=share)


def test_batch_larger_than_the_smallest_share_of_the_sweep_is_refused(tmp_path: Path) -> None:
    sweep = {"sweep.enabled": True, "sweep.shares": [0.1, 1.0], "sweep.variants": ["baseline"]}
    told = "tiny/baseline: batch_size is 8, but there are only 4 training images at the share 0.1 of the size sweep"
    with pytest.raises(UserError, match=told):
        check_batch_sizes(tiny.params(tmp_path, sweep), "tiny", IMAGES, classes=2)
    check_batch_sizes(tiny.params(tmp_path, sweep), "tiny", IMAGES, classes=8)  # at least one of each class is left
    check_batch_sizes(tiny.params(tmp_path, {**sweep, "sweep.enabled": False}), "tiny", IMAGES, classes=2)
