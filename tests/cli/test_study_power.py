"""The line of `convnet init` on detectable differences, against a simulation."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from convnet.cli.study_power import IMAGE_VARIANCE, power_lines
from helpers import tiny_study as tiny

STUDY = {**tiny.PIXELS_ONLY, "run.pixel_variants": ["baseline", "augmented"], "run.looks": []}
COUNTS = {"train": 800, "validation": 200, "test": 400}


def points_of(folder: Path, changes: Mapping[str, Any]) -> list[float]:
    text = "\n".join(power_lines(tiny.params(folder, changes), COUNTS))
    return [float(number) for number in re.findall(r"([\d.]+) points", text)]


def test_the_difference_is_decided_in_80_percent_of_studies(tmp_path: Path) -> None:
    now, then = points_of(
        tmp_path, {"run.pixel_variants": ["baseline", "augmented"], "run.looks": []} | tiny.PIXELS_ONLY
    )
    generator = np.random.default_rng(0)
    for images, points in ((400, now), (1600, then)):
        drawn = generator.normal(points / 100, np.sqrt(IMAGE_VARIANCE), (2000, images))
        decided = np.mean(stats.ttest_1samp(drawn, 0.0, axis=1).pvalue <= 0.05)
        assert decided == pytest.approx(0.8, abs=0.04)
    assert then < now


def test_folds_test_every_image(tmp_path: Path) -> None:
    folds = {**STUDY, "run.split": "folds", "run.seeds": [0, 1, 2, 3, 4]}
    lines = power_lines(tiny.params(tmp_path, folds), COUNTS)
    assert lines[0].startswith("test images: 1,400; ")
