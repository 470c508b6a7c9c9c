"""The gain from more images: a power law through the errors at several training-set sizes.

error(n) = a n^-b + c with a, b, c >= 0: the usual form of learning curves (Hestness et al., "Deep learning scaling is
predictable, empirically", 2017). For a given b it is linear in a and c, so b is searched on a grid and the rest solved
exactly: no starting values, no failed convergence. Uncertainty is a parametric bootstrap of the mean errors, with the
spread over seeds.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from convnet.evaluation.metrics import LEVEL, accuracy
from convnet.jobs.job import Job
from convnet.jobs.predictions import load_predictions
from convnet.system.errors import UserError

Floats = npt.NDArray[np.float64]

EXPONENTS = np.geomspace(0.02, 4.0, 200)
FEWEST_SIZES = 4  # three sizes fit three numbers exactly and prove nothing
LEAST_R_SQUARED = 0.9
LEAST_FIT_P = 0.01  # chi-squared test of the fit against the spread over seeds
REPETITIONS = 2_000


def fit_power_law(sizes: Floats, errors: Floats, deviations: Floats) -> Floats:
    """Fit error = a n^-b + c by weighted least squares, for many curves at once.

    Args:
        sizes: (k,) training images.
        errors: (curves, k) mean test errors, 0..1.
        deviations: (k,) standard deviation of each mean error.

    Returns:
        (curves, 3): a, b, c of each curve; a and c are not negative, b is within 0.02..4.
    """
    weights = 1 / deviations**2
    power = sizes[None, :] ** -EXPONENTS[:, None]  # (exponents, k)
    sum_w = weights.sum()
    sum_p, sum_pp = power @ weights, power**2 @ weights  # (exponents,)
    sum_e, sum_pe = errors @ weights, errors @ (power * weights).T  # (curves,), (curves, exponents)
    a = (sum_w * sum_pe - sum_p * sum_e[:, None]) / (sum_w * sum_pp - sum_p**2)
    c = (sum_e[:, None] - a * sum_p) / sum_w
    # Where a bound is crossed, the best point of this convex problem is on that bound.
    through_zero = np.maximum(sum_pe / sum_pp, 0.0)
    a, c = np.where(c < 0, through_zero, a), np.where(c < 0, 0.0, c)
    a, c = np.where(a < 0, 0.0, a), np.where(a < 0, (sum_e / sum_w)[:, None], c)
    # The sum of squares, less that of the errors themselves, from the sums above: no array over sizes as well.
    squares = a * (a * sum_pp - 2 * sum_pe) + c * (c * sum_w - 2 * sum_e[:, None]) + 2 * a * c * sum_p
    best = squares.argmin(axis=1)
    rows = np.arange(len(errors))
    return np.stack([a[rows, best], EXPONENTS[best], c[rows, best]], axis=1)


def predict_error(parameters: Floats, size: float) -> Floats:
    """Return the (curves,) errors at `size` training images.

    Args:
        parameters: (curves, 3): a, b, c.
        size: training images.
    """
    return np.asarray(parameters[:, 0] * size ** -parameters[:, 1] + parameters[:, 2], dtype=np.float64)


def learning_curve(points: Mapping[int, Sequence[float]], rendered: bool = False, seed: int = 0) -> dict[str, Any]:
    """Fit the size sweep of one variant and estimate the gain from twice the images.

    It refuses to look beyond the measured sizes when there are fewer than 4 of them, when the error does not fall,
    when the curve explains less than 90 % of the variance of the mean errors, or when the errors scatter round it more
    than the seeds explain (chi-squared p below 0.01).

    Args:
        points: training images -> test errors (1 - accuracy, 0..1), one per seed.
        rendered: the images are rendered; the sentence then names it.
        seed: of the bootstrap.

    Returns:
        sizes, errors (means), a, b, c with 95 % intervals (None without a fit), r_squared, fit_p, refused (why, or
        None), doubling {from, to, gain, interval} in shares of accuracy (None if refused), sentence.

    Raises:
        UserError: a size below 1, a size without a result, or an error outside 0..1.
    """
    for size, values in points.items():
        if size < 1 or len(values) == 0 or not all(0 <= value <= 1 for value in values):
            raise UserError(f"the size sweep needs at least one error in 0..1 for {size} images; run the sweep again")
    sizes = np.array(sorted(points), dtype=np.float64)
    errors = np.array([np.mean(points[int(size)]) for size in sizes])
    result: dict[str, Any] = {
        "sizes": [int(size) for size in sizes],
        "errors": errors.tolist(),
        **dict.fromkeys(("a", "b", "c", "a_interval", "b_interval", "c_interval", "r_squared", "fit_p", "doubling")),
    }
    if len(sizes) < FEWEST_SIZES:
        return _refuse(result, f"{len(sizes)} sizes were measured and a trend needs at least {FEWEST_SIZES}")

    counts = np.array([len(points[int(size)]) for size in sizes])
    parameters = fit_power_law(sizes, errors[None, :], 1 / np.sqrt(counts))
    residuals = errors - np.array([predict_error(parameters, size)[0] for size in sizes])
    spread, freedom, from_seeds = _spread(points, sizes, residuals, counts)
    r_squared = _r_squared(errors, residuals, counts)
    fit_p = None
    if from_seeds and len(sizes) > 3:
        chi_squared = float((residuals**2 * counts).sum()) / spread**2
        # The spread itself is estimated: F instead of chi-squared keeps the stated error rate with few seeds.
        fit_p = float(special.fdtrc(len(sizes) - 3, freedom, chi_squared / (len(sizes) - 3)))
    drawn = _bootstrap(sizes, parameters, spread / np.sqrt(counts), freedom, seed)
    a, b, c = (float(value) for value in parameters[0])
    result |= {"a": a, "b": b, "c": c, "r_squared": r_squared, "fit_p": fit_p}
    for index, name in enumerate("abc"):
        result[f"{name}_interval"] = _quantiles(drawn[:, index])
    if errors[-1] >= errors[0] or a == 0:
        return _refuse(result, "the error does not fall with more images")
    if r_squared < LEAST_R_SQUARED:
        return _refuse(result, f"a power law explains {100 * r_squared:.0f} % of the spread between sizes, under 90 %")
    if fit_p is not None and fit_p < LEAST_FIT_P:
        return _refuse(result, f"the errors scatter round a power law more than the seeds explain (p = {fit_p:.2g})")

    largest = float(sizes[-1])
    gain = float((predict_error(parameters, largest) - predict_error(parameters, 2 * largest))[0])
    interval = _quantiles(predict_error(drawn, largest) - predict_error(drawn, 2 * largest))
    result["doubling"] = {"from": int(largest), "to": int(2 * largest), "gain": gain, "interval": interval}
    result["refused"] = None
    result["sentence"] = (
        f"Doubling your images from {int(largest):,} to {int(2 * largest):,} would bring about {100 * gain:.1f} points "
        f"of test accuracy (95 % interval {100 * interval[0]:.1f} to {100 * interval[1]:.1f}, a power law through "
        f"{len(sizes)} sizes{', rendered images' if rendered else ''})."
    )
    return result


def _refuse(result: dict[str, Any], reason: str) -> dict[str, Any]:
    sentence = f"The gain from more images is unknown: {reason}."
    return result | {"refused": reason, "doubling": None, "sentence": sentence}


def _spread(
    points: Mapping[int, Sequence[float]], sizes: Floats, residuals: Floats, counts: npt.NDArray[np.int64]
) -> tuple[float, int, bool]:
    """Return the standard deviation of one seed's error, its degrees of freedom, and whether seeds gave it.

    Pooled over the sizes, as a few seeds at one size say little; without repeated seeds, from the distance to the fit.
    """
    freedom = int(counts.sum()) - len(sizes)
    squares = sum(float(np.sum((np.asarray(points[int(s)]) - np.mean(points[int(s)])) ** 2)) for s in sizes)
    if freedom > 0 and squares > 0:
        return math.sqrt(squares / freedom), freedom, True
    freedom = len(sizes) - 3
    return max(math.sqrt(float((residuals**2 * counts).sum()) / freedom), 1e-6), freedom, False


def _r_squared(errors: Floats, residuals: Floats, counts: npt.NDArray[np.int64]) -> float:
    total = float((counts * (errors - np.average(errors, weights=counts)) ** 2).sum())
    return 1 - float((counts * residuals**2).sum()) / total if total > 0 else 0.0


def _bootstrap(sizes: Floats, parameters: Floats, deviations: Floats, freedom: int, seed: int) -> Floats:
    """Return (repetitions, 3): the fits of curves drawn round the fitted one."""
    fitted = np.array([predict_error(parameters, size)[0] for size in sizes])
    generator = np.random.default_rng([seed, len(sizes)])
    # One chi-squared draw per curve: the spread is itself an estimate, which makes the noise Student's t.
    scale = np.sqrt(freedom / generator.chisquare(freedom, (REPETITIONS, 1)))
    drawn = fitted + generator.standard_normal((REPETITIONS, len(sizes))) * deviations * scale
    return fit_power_law(sizes, drawn, deviations)


def _quantiles(values: Floats) -> list[float]:
    lower, upper = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return [float(lower), float(upper)]


def summarise_sweep(jobs: Mapping[str, Sequence[Job]], rendered: bool) -> dict[str, Any]:
    """Return the curve of every variant over the number of training images.

    Args:
        jobs: finished jobs by variant, every share and seed.
        rendered: the images are rendered; the sentences then name it.

    Returns:
        By variant: points (training images, seed, test accuracy, generalisation gap) and curve, the fitted power law.
    """
    variants = {}
    for variant, of_variant in jobs.items():
        points = [_point(job) for job in of_variant]
        errors: dict[int, list[float]] = {}
        for point in points:
            errors.setdefault(point["training_images"], []).append(1.0 - point["test_accuracy"])
        variants[variant] = {"points": points, "curve": learning_curve(errors, rendered)}
    return variants


def _point(job: Job) -> dict[str, Any]:
    predictions = load_predictions(job.result / "predictions.npz")[job.seed]
    measured = {split: accuracy(seen.probabilities, seen.labels) for split, seen in predictions.items()}
    return {
        "training_images": len(predictions["train"].labels),
        "seed": job.seed,
        "test_accuracy": measured["test"],
        "generalisation_gap": measured["train"] - measured["validation"],
    }
