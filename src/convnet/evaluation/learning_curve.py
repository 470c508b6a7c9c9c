"""The gain from more images: a power law through the errors at several training-set sizes.

error(n) = a n^-b + c with a, b, c >= 0: the usual form of learning curves (Hestness et al., "Deep learning scaling is
predictable, empirically", 2017). For a given b it is linear in a and c. The fit searches b on a grid and solves the
rest exactly, so it needs no starting values.

The uncertainty is a parametric bootstrap of the mean errors, with the spread over seeds and the sample of test images,
which all sizes share. A floor c is hard to see in a few sizes, so the interval is the union of the curves with c and
those without.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from convnet.evaluation.metrics import LEVEL, accuracy
from convnet.jobs.job import Job
from convnet.jobs.predictions import CALIBRATION, load_predictions
from convnet.system.errors import UserError
from convnet.system.language import tr

Floats = npt.NDArray[np.float64]

EXPONENTS = np.geomspace(0.02, 4.0, 200)
FEWEST_SIZES = 4  # three sizes fit three numbers exactly and prove nothing
LEAST_R_SQUARED = 0.9
LEAST_FIT_P = 0.01  # chi-squared test of the fit against the spread over seeds
REPETITIONS = 2_000


class Curve(NamedTuple):
    """The measured errors of one variant, the fit, and curves drawn round it."""

    sizes: Floats  # (k,) training images
    errors: Floats  # (k,) means over seeds
    counts: npt.NDArray[np.int64]  # (k,) seeds
    parameters: Floats  # (1, 3): a, b, c
    r_squared: float
    fit_p: float | None  # chi-squared test of the fit against the spread over seeds
    drawn: Floats  # (repetitions, 3)
    without_floor: Floats  # (repetitions, 3), with c = 0; `drawn` if the seeds exclude that

    def gain(self, parameters: Floats) -> Floats:
        """Return the (curves,) shares of accuracy that twice the largest size gains."""
        largest = float(self.sizes[-1])
        return predict_error(parameters, largest) - predict_error(parameters, 2 * largest)


def fit_power_law(sizes: Floats, errors: Floats, deviations: Floats, floor: bool = True) -> Floats:
    """Fit error = a n^-b + c by weighted least squares, for many curves at once.

    Args:
        sizes: (k,) training images.
        errors: (curves, k) mean test errors, 0..1.
        deviations: (k,) standard deviation of each mean error.
        floor: False fits c = 0.

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
    negative = (c < 0) | (not floor)
    a, c = np.where(negative, through_zero, a), np.where(negative, 0.0, c)
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


def learning_curve(
    points: Mapping[int, Sequence[float]],
    wrong: Mapping[int, Floats] | None = None,
    rendered: bool = False,
    seed: int = 0,
) -> dict[str, Any]:
    """Fit the size sweep of one variant and estimate the gain from twice the images.

    It refuses to look beyond the measured sizes when there are fewer than 4 of them, when the error does not fall,
    when the curve explains less than 90 % of the variance of the mean errors, or when the errors scatter round it more
    than the seeds explain (chi-squared p below 0.01).

    Args:
        points: training images -> test errors (1 - accuracy, 0..1), one per seed.
        wrong: training images -> (n,) share of seeds that are wrong on each test image, the same images for all
            sizes. None leaves the sample of test images out of the intervals.
        rendered: the images are rendered; the sentence then names it.
        seed: of the bootstrap.

    Returns:
        sizes, errors (means), a, b, c with 95 % intervals (None without a fit), r_squared, fit_p, refused (why, or
        None), doubling {from, to, gain, interval, at_least} in shares of accuracy (None if refused), sentence.

    Raises:
        UserError: a size below 1, a size without a result, or an error outside 0..1.
    """
    for size, values in points.items():
        if size < 1 or len(values) == 0 or not all(0 <= value <= 1 for value in values):
            raise UserError(f"the size sweep needs at least one error in 0..1 for {size} images; run the sweep again")
    sizes = sorted(points)
    result: dict[str, Any] = {
        "sizes": sizes,
        "errors": [float(np.mean(points[size])) for size in sizes],
        **dict.fromkeys(("a", "b", "c", "a_interval", "b_interval", "c_interval", "r_squared", "fit_p", "doubling")),
    }
    if len(sizes) >= FEWEST_SIZES:
        curve = _fit(points, wrong, seed)
        result |= dict(zip("abc", curve.parameters[0].tolist(), strict=True))
        result |= {f"{name}_interval": _quantiles(curve.drawn[:, index]) for index, name in enumerate("abc")}
        result |= {"r_squared": curve.r_squared, "fit_p": curve.fit_p}
    result["refused"] = _reason_to_refuse(result)
    if not result["refused"]:
        result["doubling"] = _double(curve)
    return result | {"sentence": curve_sentence(result, rendered)}


def curve_sentence(law: Mapping[str, Any], rendered: bool) -> str:
    """Return the gain from more images, or the reason why it is unknown, from what `learning_curve` returns."""
    if law["refused"]:
        return tr("The gain from more images is unknown: {reason}.", reason=_reason_to_refuse(law))
    found = law["doubling"]
    lower, upper, gain = (100 * share for share in (*found["interval"], found["gain"]))
    return tr(
        "Doubling your images from {before:,} to {after:,} would bring {gain} points of test accuracy (95 % interval "
        "{lower:.1f} to {upper:.1f}, a power law through {sizes} sizes{rendered}).",
        before=found["from"],
        after=found["to"],
        gain=tr("at least {gain:.1f}", gain=lower) if found["at_least"] else tr("about {gain:.1f}", gain=gain),
        lower=lower,
        upper=upper,
        sizes=len(law["sizes"]),
        rendered=tr(", rendered images") if rendered else "",
    )


def _fit(points: Mapping[int, Sequence[float]], wrong: Mapping[int, Floats] | None, seed: int) -> Curve:
    sizes = np.array(sorted(points), dtype=np.float64)
    errors = np.array([np.mean(points[int(size)]) for size in sizes])
    counts = np.array([len(points[int(size)]) for size in sizes])
    parameters = fit_power_law(sizes, errors[None, :], 1 / np.sqrt(counts))
    fitted = np.array([predict_error(parameters, size)[0] for size in sizes])
    spread, freedom, from_seeds = _spread(points, sizes, errors - fitted, counts)
    deviations = spread / np.sqrt(counts)
    noise = _noise(deviations, freedom, None if wrong is None else np.stack([wrong[int(s)] for s in sizes]), seed)
    plain = fit_power_law(sizes, errors[None, :], 1 / np.sqrt(counts), floor=False)
    fitted_plain = np.array([predict_error(plain, size)[0] for size in sizes])
    fit_p = plain_p = None
    if from_seeds:
        fit_p = _fit_p((errors - fitted) / deviations, 3, freedom)
        plain_p = _fit_p((errors - fitted_plain) / deviations, 2, freedom)
    drawn = fit_power_law(sizes, fitted + noise, deviations)
    # A curve without a floor counts unless the seeds exclude it.
    possible = plain_p is None or plain_p >= LEAST_FIT_P
    return Curve(
        sizes,
        errors,
        counts,
        parameters,
        _r_squared(errors, errors - fitted, counts),
        fit_p,
        drawn,
        fit_power_law(sizes, fitted_plain + noise, deviations, floor=False) if possible else drawn,
    )


def _fit_p(residuals: Floats, parameters: int, freedom: int) -> float:
    """Return the p of residuals in standard deviations, themselves estimated with `freedom` degrees of freedom.

    F instead of chi-squared keeps the stated error rate with few seeds.
    """
    rest = len(residuals) - parameters
    return float(special.fdtrc(rest, freedom, float((residuals**2).sum()) / rest))


def _reason_to_refuse(law: Mapping[str, Any]) -> str | None:
    if (count := len(law["sizes"])) < FEWEST_SIZES:
        return tr("{count} sizes were measured and a trend needs at least {fewest}", count=count, fewest=FEWEST_SIZES)
    if law["errors"][-1] >= law["errors"][0] or law["a"] == 0:
        return tr("the error does not fall with more images")
    if law["r_squared"] < LEAST_R_SQUARED:
        share = 100 * law["r_squared"]
        return tr("a power law explains {share:.0f} % of the spread between sizes, under 90 %", share=share)
    if law["fit_p"] is not None and law["fit_p"] < LEAST_FIT_P:
        return tr("the errors scatter round a power law more than the seeds explain (p = {p:.2g})", p=law["fit_p"])
    return None


def _double(curve: Curve) -> dict[str, Any]:
    """Return the gain from twice the largest size."""
    largest = int(curve.sizes[-1])
    gain = float(curve.gain(curve.parameters)[0])
    with_floor, without = (_quantiles(curve.gain(drawn)) for drawn in (curve.drawn, curve.without_floor))
    lower, upper = min(with_floor[0], without[0]), max(with_floor[1], without[1])
    # Where the floor decides how large the gain is, only the lower end is known.
    at_least = float(np.median(curve.gain(curve.without_floor))) > with_floor[1]
    return {"from": largest, "to": 2 * largest, "gain": gain, "interval": [lower, upper], "at_least": at_least}


def _spread(
    points: Mapping[int, Sequence[float]], sizes: Floats, residuals: Floats, counts: npt.NDArray[np.int64]
) -> tuple[float, int, bool]:
    """Return the standard deviation of one seed's error, its degrees of freedom, and whether seeds gave it.

    Pooled over the sizes, because a few seeds at one size show little. Without repeated seeds, from the distance to
    the fit.
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


def _noise(deviations: Floats, freedom: int, wrong: Floats | None, seed: int) -> Floats:
    """Return (repetitions, k): errors of the mean errors, from seeds and, with `wrong` (k, n), from test images."""
    generator = np.random.default_rng([seed, len(deviations)])
    # One chi-squared draw per curve: the spread is itself an estimate, which makes the noise Student's t.
    scale = np.sqrt(freedom / generator.chisquare(freedom, (REPETITIONS, 1)))
    noise = generator.standard_normal((REPETITIONS, len(deviations))) * deviations * scale
    if wrong is None:
        return noise
    # One image that is always wrong and one that never is: an observed error of 0 leaves some doubt.
    shares = np.concatenate([wrong, np.ones((len(wrong), 1)), np.zeros((len(wrong), 1))], axis=1)
    covariance = np.cov(shares) / shares.shape[1]
    return noise + generator.multivariate_normal(np.zeros(len(wrong)), covariance, REPETITIONS, method="eigh")


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
    return {variant: _summarise(of_variant, rendered) for variant, of_variant in jobs.items()}


def _summarise(jobs: Sequence[Job], rendered: bool) -> dict[str, Any]:
    points: list[dict[str, Any]] = []
    errors: dict[int, list[float]] = {}
    of_images: dict[int, Floats] = {}
    for share in dict.fromkeys(job.share for job in jobs):
        of_share = [_point(job) for job in jobs if job.share == share]
        # Folds leave unequal numbers of training images; the size of a share is their mean.
        size = round(float(np.mean([point["training_images"] for point in of_share])))
        wrong = [point.pop("wrong") for point in of_share]
        points += [point | {"training_images": size} for point in of_share]
        errors[size] = [1.0 - point["test_accuracy"] for point in of_share]
        # Seeds share their test images, or each has its own.
        of_images[size] = np.concatenate(wrong) if jobs[0].division.pooled else np.asarray(np.mean(wrong, axis=0))
    return {"points": points, "curve": learning_curve(errors, of_images, rendered)}


def _point(job: Job) -> dict[str, Any]:
    predictions = load_predictions(job.result / "predictions.npz")[job.seed]
    measured = {split: accuracy(seen.probabilities, seen.labels) for split, seen in predictions.items()}
    return {
        "training_images": len(predictions["train"].labels),
        "wrong": predictions["test"].probabilities.argmax(axis=1) != predictions["test"].labels,
        "seed": job.seed,
        "test_accuracy": measured["test"],
        "generalisation_gap": measured["train"] - measured["test" if CALIBRATION in measured else "validation"],
    }
