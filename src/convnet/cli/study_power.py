"""Which differences the test images of a new study can decide, as `convnet init` prints it."""

from collections.abc import Mapping

from convnet.comparison.decisions import SIGNIFICANCE
from convnet.comparison.power import minimum_detectable
from convnet.comparison.random_effects import Estimate
from convnet.params.schema import Params
from convnet.params.section import BASELINE

# Between test images, of the difference in correctness of two variants, mean over 3 seeds. Augmentation and transfer
# against the baseline: 0.12 and 0.16 on the rendered pets (2,400 test images), 0.10 and 0.13 on the rendered hands.
IMAGE_VARIANCE = 0.12
MORE_IMAGES = 4


def power_lines(params: Params, counts: Mapping[str, int]) -> list[str]:
    """Return a line on the minimum detectable difference at 80 % power, and on the ways to lower it.

    The randomness of training comes on top, so the number holds at best.

    Args:
        params: of the study.
        counts: images by split.
    """
    images = sum(counts.values()) if params.run.split == "folds" else counts["test"]
    comparisons = sum(len(params.against(variant)) for variant in params.run.variants if variant != BASELINE)
    if not images or not comparisons:
        return []
    level = SIGNIFICANCE / comparisons / max(len(params.run.declared_looks), 1)
    now, then = (100 * _detectable(count, level, len(params.run.seeds)) for count in (images, MORE_IMAGES * images))
    return [
        f"test images: {images:,}; at best they decide a true difference of {now:.1f} points in 80 % of studies",
        f"  {MORE_IMAGES} times the test images, which somebody has to label: {then:.1f} points",
        "  more seeds help where seeds differ much: reports/index.html lists their minutes after the first run",
    ]


def _detectable(images: int, level: float, seeds: int) -> float:
    estimate = Estimate(0.0, 0.0, 0.0, IMAGE_VARIANCE / images, seeds, images, float(images))
    return minimum_detectable(estimate, level)
