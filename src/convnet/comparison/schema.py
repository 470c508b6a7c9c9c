"""The verdict on one dataset, as reports/tables/verdict.json holds it by dataset."""

from pathlib import Path
from typing import Literal

from convnet.comparison.statistics import Interval
from convnet.evaluation.schema import Frozen, TrivialScores, read_as
from convnet.params.section import ImageKind, SplitKind

Decision = Literal["helps", "hurts", "no relevant difference", "not decided"]
Deciding = Literal["accuracy", "balanced_accuracy"]  # the metric that decides
IntervalKind = Literal["seeds and test images", "seeds and splits", "folds and test images", "test images only"]


class MetricDifference(Frozen):
    """Variant minus baseline on one metric, by seed."""

    differences: list[float]
    mean: float


class Needed(Frozen):
    """What would decide an open comparison; None: no number within the search."""

    more_seeds: int | None
    probability: float | None  # that they decide it
    test_images: int | None  # in all, if the difference stays as it is


class Comparison(Frozen):
    """One variant against another; differences are shares of the deciding metric, -1..1."""

    variant: str
    baseline: str  # the variant it is compared with: the baseline, or what it changes
    decision: Decision
    mean: float
    interval: Interval  # 95 %
    interval_kind: IntervalKind
    standard_error: float
    seed_share: float  # of the error's variance: the part that more seeds reduce
    p: float  # two-sided, of no difference
    p_holm: float
    p_margin_holm: float  # one-sided, of a difference of the margin or more
    needed: Needed | None  # where nothing is decided
    seeds: list[int]  # of the look that decided, or of the last look
    seeds_left_out: list[int]  # seeds that only one of the two has
    n_test: int  # of a seed; with folds of all seeds
    n_groups: int  # of test images; copies of one image are one group
    paired: bool  # both train the same network, so one seed gives both the same randomness
    split: SplitKind
    metrics: dict[str, MetricDifference]  # accuracy, balanced_accuracy, loss on test images; generalisation_gap
    sentence: str = ""


class HelperPair(Frozen):
    """Two variants that help, compared with each other: first minus second, in shares of the deciding metric."""

    first: str
    second: str
    mean: float
    interval: Interval  # 95 %
    p: float
    p_holm: float  # over all pairs of helpers
    ahead: str | None  # the better of the two where that is decided


class Summary(Frozen):
    """A number over seeds; one seed has no standard deviation."""

    mean: float
    standard_deviation: float | None
    values: list[float]


class AgainstTrivial(Frozen):
    """A variant against the best trivial model, by the deciding metric."""

    name: str  # of the trivial model
    reached: float  # by the trivial model
    difference: float
    interval: Interval  # 95 %
    beats: bool  # the interval is above zero


class VariantSummary(Frozen):
    """One variant over its seeds; the first five numbers are those on test images."""

    variant: str
    seeds: list[int]
    n_test: int
    accuracy: Summary
    balanced_accuracy: Summary
    macro_f1: Summary
    loss: Summary
    calibration_error: Summary
    train_accuracy: Summary
    validation_accuracy: Summary
    generalisation_gap: Summary
    wilson: Interval  # of the mean accuracy as if of one model: the sampling of test images alone
    trivial: AgainstTrivial | None

    def mean_of(self, metric: Deciding) -> float:
        """Return the mean of the deciding metric over seeds."""
        return (self.balanced_accuracy if metric == "balanced_accuracy" else self.accuracy).mean


class Imbalance(Frozen):
    """Training images per class, and largest / smallest (None if a class has none)."""

    train_images: dict[str, int]
    ratio: float | None


class Verdict(Frozen):
    """The judgement on one dataset."""

    dataset: str
    kind: ImageKind
    classes: list[str]
    split: SplitKind
    baseline: str | None  # None if it is missing
    metric: Deciding
    n_test: int
    margin: float  # share of the deciding metric; a smaller difference does not matter
    looks: list[int]  # the declared numbers of seeds, rising; empty: one look, at all seeds
    imbalance: Imbalance
    variants: list[VariantSummary]  # the baseline first
    comparisons: list[Comparison]  # one for each other variant and each variant that it names
    helpers: list[str]  # variants that help against the baseline, or against another helper; the largest gain first
    pairs: list[HelperPair]  # every two helpers
    leader: str | None  # the helper that is ahead of every other
    trivial: list[TrivialScores]
    warnings: list[str]

    @property
    def rendered(self) -> bool:
        """The images are rendered, not photographed."""
        return self.kind == "rendered"


def read_verdicts(path: Path) -> dict[str, Verdict]:
    """Read what the compare stage wrote, by dataset.

    Raises:
        UserError: the file is missing, or another version of the program wrote it.
    """
    return read_as(dict[str, Verdict], path)
