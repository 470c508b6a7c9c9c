"""The power law against scipy's curve_fit, its interval against repeated studies."""

import json

import numpy as np
import pytest
from scipy import optimize

from convnet.evaluation.learning_curve import EXPONENTS, fit_power_law, learning_curve, predict_error
from convnet.system.errors import UserError

SIZES = (125, 250, 500, 1000, 2000)


def study(noise: float = 0.004, seeds: int = 5, seed: int = 0, a: float = 2.0, b: float = 0.5, c: float = 0.05) -> dict:
    """A size sweep whose truth is a n^-b + c."""
    generator = np.random.default_rng(seed)
    return {n: list(a * n**-b + c + noise * generator.standard_normal(seeds)) for n in SIZES}


def test_fit_agrees_with_scipy():
    sizes = np.array(SIZES, dtype=float)
    errors = np.array([np.mean(values) for values in study().values()])
    deviations = np.linspace(0.001, 0.003, len(sizes))
    found = fit_power_law(sizes, errors[None], deviations)[0]
    expected, _ = optimize.curve_fit(
        lambda n, a, b, c: a * n**-b + c, sizes, errors, p0=(1, 0.5, 0.01), sigma=deviations, maxfev=10_000
    )
    assert found[1] == pytest.approx(expected[1], rel=0.03)  # the grid of exponents has steps of 2.7 %
    for n in (125, 2000, 4000):
        assert predict_error(found[None], n)[0] == pytest.approx(
            expected[0] * n ** -expected[1] + expected[2], abs=2e-4
        )


def test_an_exact_curve_on_the_grid_is_found_exactly():
    b = EXPONENTS[120]
    sizes = np.array(SIZES, dtype=float)
    found = fit_power_law(sizes, (3 * sizes**-b + 0.02)[None], np.ones(5))[0]
    assert found == pytest.approx([3, b, 0.02])


def test_bounds_are_kept_where_the_free_fit_would_cross_them():
    sizes = np.array(SIZES, dtype=float)
    # Faster than a power law: a free fit would put the floor c below 0.
    below = fit_power_law(sizes, np.array([[0.5, 0.3, 0.12, 0.03, 0.001]]), np.ones(5))[0]
    rising = fit_power_law(sizes, np.array([[0.1, 0.2, 0.3, 0.4, 0.5]]), np.ones(5))[0]
    assert below[2] == 0
    assert rising[0] == 0
    assert rising[2] == pytest.approx(0.3)


def test_doubling_is_said_with_its_interval():
    found = learning_curve(study())
    true_gain = 2 * 2000**-0.5 - 2 * 4000**-0.5
    assert found["refused"] is None
    assert found["doubling"]["gain"] == pytest.approx(true_gain, abs=0.004)
    assert found["doubling"]["interval"][0] < true_gain < found["doubling"]["interval"][1]
    assert "Doubling your images from 2,000 to 4,000 would bring about 1." in found["sentence"]
    assert "rendered" not in found["sentence"]
    assert "rendered images" in learning_curve(study(), rendered=True)["sentence"]


def test_interval_of_the_gain_holds_the_truth_in_repeated_studies():
    true_gain = 2 * 2000**-0.5 - 2 * 4000**-0.5
    results = [learning_curve(study(noise=0.01, seeds=3, seed=seed)) for seed in range(100)]
    held = [
        r["doubling"]["interval"][0] <= true_gain <= r["doubling"]["interval"][1] for r in results if not r["refused"]
    ]
    assert len(held) > 85
    assert np.mean(held) > 0.88


def test_test_images_widen_the_interval():
    sizes = {n: [2 * n**-0.5 + 0.05 + e for e in (-0.002, 0.0, 0.002)] for n in SIZES}
    wrong = {n: (np.arange(200) < 200 * np.mean(values)).astype(float) for n, values in sizes.items()}
    alone, sampled = learning_curve(sizes)["doubling"]["interval"], learning_curve(sizes, wrong)["doubling"]["interval"]
    assert sampled[1] - sampled[0] > alone[1] - alone[0]


def test_a_floor_that_cannot_be_seen_leaves_only_the_lower_end():
    # The errors halve with each doubling, and one lucky last size suggests a floor.
    errors = dict(zip(SIZES, (0.32, 0.16, 0.08, 0.04, 0.026), strict=True))
    found = learning_curve({n: [e - 0.012, e, e + 0.012] for n, e in errors.items()})
    lower, upper = found["doubling"]["interval"]
    assert found["doubling"]["at_least"] is (f"at least {100 * lower:.1f} points" in found["sentence"])
    assert lower <= found["doubling"]["gain"] <= upper


def test_result_is_deterministic_and_fit_for_json():
    assert json.dumps(learning_curve(study()), allow_nan=False) == json.dumps(learning_curve(study()))


@pytest.mark.parametrize(
    ("points", "words"),
    [
        ({n: [2 * n**-0.5] for n in SIZES[:3]}, "at least 4"),
        (dict(zip(SIZES, [[0.2], [0.22], [0.21], [0.24], [0.23]], strict=True)), "does not fall"),
        (dict(zip(SIZES, [[0.3], [0.1], [0.3], [0.1], [0.2]], strict=True)), "under 90 %"),
        # Steps as no power law has them, and seeds that agree far too well for chance.
        (
            {n: [e, e + 0.001] for n, e in zip(SIZES, (0.40, 0.34, 0.30, 0.22, 0.20), strict=True)},
            "more than the seeds",
        ),
        ({n: [0.1, 0.1] for n in SIZES}, "does not fall"),
    ],
)
def test_it_refuses_to_look_ahead(points, words):
    found = learning_curve(points)
    assert words in found["refused"]
    assert found["doubling"] is None
    assert found["refused"] in found["sentence"]
    json.dumps(found, allow_nan=False)


def test_one_seed_per_size_is_enough_for_a_wide_interval():
    one = learning_curve({n: [2 * n**-0.5 + 0.05 + e] for n, e in zip(SIZES, (2e-3, -2e-3, 1e-3, 0, 0), strict=True)})
    assert one["refused"] is None
    assert one["fit_p"] is None


@pytest.mark.parametrize("points", [{100: []}, {0: [0.1]}, {100: [1.5]}])
def test_unusable_points_are_a_user_error(points):
    with pytest.raises(UserError, match="size sweep"):
        learning_curve(points)
