"""The report stage: what it takes from earlier stages, up to the charts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convnet.evaluation.learning_curve import learning_curve
from convnet.report import charts
from convnet.report.backbone_text import backbone_sentence, told_backbone
from convnet.report.build import size_curves
from convnet.system.files import write_json
from helpers.evaluations import VARIANTS, make_backbone, make_evaluation, make_evaluations

SIZES = (404, 50, 202, 101)  # as jobs may end in any order


def sweep_of(b: float, noise: float) -> dict[str, Any]:
    """Return one variant of data/sweeps/<dataset>.json: accuracies near 0.9 - 1.5 n^-b, of three seeds."""
    generator = np.random.default_rng(0)
    points = [
        {
            "training_images": size,
            "seed": seed,
            "test_accuracy": 0.9 - 1.5 * size**-b + noise * float(generator.standard_normal()),
            "generalisation_gap": 3 / size + 0.01 * seed,
        }
        for size in SIZES
        for seed in range(3)
    ]
    errors: dict[int, list[float]] = {}
    for point in points:
        errors.setdefault(int(point["training_images"]), []).append(1 - point["test_accuracy"])
    return {"points": points, "curve": learning_curve(errors, rendered=True)}


def test_size_curves_hold_accuracies_gaps_fit_and_sentence() -> None:
    curve = size_curves({"baseline": (measured := sweep_of(0.5, 0.002))})["baseline"]
    assert [size for size, _ in curve.accuracies] == [size for size, _ in curve.gaps] == sorted(SIZES)
    by_size = dict(curve.accuracies)
    assert by_size[202] == [p["test_accuracy"] for p in measured["points"] if p["training_images"] == 202]
    assert dict(curve.gaps)[50] == pytest.approx([0.06, 0.07, 0.08])
    assert curve.fit == tuple(measured["curve"][name] for name in "abc")
    assert curve.fitted([404])[0] == pytest.approx(0.9 - 1.5 * 404**-0.5, abs=0.005)
    assert curve.sentence.startswith("Doubling your images from 404 to 808 would bring about ")


def test_refused_power_law_is_not_drawn_but_its_reason_is_told() -> None:
    measured = {"baseline": sweep_of(0.5, 0.002), "augmented": sweep_of(0.5, 0.06)}
    curves = size_curves(measured)
    assert measured["augmented"]["curve"]["a"] is not None, "there is a fit, but it was refused"
    assert curves["augmented"].fit is None
    chart = charts.training_size_chart(make_evaluation("pets", "baseline"), curves, VARIANTS)
    for variant, of_variant in measured.items():
        assert f"{variant}: {of_variant['curve']['sentence']}" in chart.caption
    assert "is unknown" in chart.caption


def test_backbone_trained_here_is_told_with_its_seconds(tmp_path: Path) -> None:
    write_json(tmp_path / "backbone.json", make_backbone("trained here"))
    write_json(tmp_path / "timing.json", {"seconds_training": 56.4})
    told = told_backbone(tmp_path, make_evaluations(1, 5, 1))
    assert told == backbone_sentence(make_backbone("trained here"), "block4_pool", 56.4)


def test_fetched_backbone_is_told_without_seconds(tmp_path: Path) -> None:
    write_json(tmp_path / "backbone.json", make_backbone("official"))
    assert told_backbone(tmp_path, make_evaluations(1, 5, 1)) == backbone_sentence(
        make_backbone("official"), "block4_pool"
    )


def test_no_backbone_is_told_where_none_is_needed(tmp_path: Path) -> None:
    write_json(tmp_path / "backbone.json", {"needed": False})
    assert told_backbone(tmp_path, make_evaluations(1, 3, 1)) == ""
