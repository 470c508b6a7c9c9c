"""A chart is a figure with its words and its numbers; `Numbers` holds all that the charts of a dataset read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from convnet.comparison.schema import Verdict
from convnet.evaluation.schema import Evaluation, LabelCheck
from convnet.report.style import Style, label, title
from convnet.system.formats import percent

Images = NDArray[np.uint8]  # (n, height, width, 3)
Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Chart:
    """A figure, its words for readers who cannot see it, and its numbers."""

    name: str  # of its files, without a suffix
    section: str  # of the page, a key of `lesson.SECTIONS`
    title: str
    alt: str
    caption: str  # how to read it
    table: pd.DataFrame | None
    figure: Figure  # gets the title
    is_gallery: bool = False  # it holds images below their texts, and nothing else

    def __post_init__(self) -> None:
        """Write the title on the figure."""
        self.figure.suptitle(label(self.title, 80))


def _no_images(members: Sequence[str]) -> Images:
    raise NotImplementedError(f"the images of {', '.join(members)} are not at hand")


@dataclass(frozen=True)
class Numbers:
    """The numbers of one dataset.

    Attributes:
        evaluations: of its variants, in the order wanted.
        styles: by variant of the run, so that colours agree over datasets.
        robustness: rows of the robustness stage: variant, split, perturbation, strength, accuracy (a list over seeds).
        sweep: by variant, from `learning_curve.summarise_sweep`: points and curve.
        images: returns the images (n, height, width, 3) of n archive members.
        verdict: on the dataset.
        labels: the check of its labels.
    """

    evaluations: Sequence[Evaluation]
    styles: Mapping[str, Style]
    robustness: Sequence[Mapping[str, Any]] = ()
    sweep: Mapping[str, Any] = field(default_factory=dict)
    images: Callable[[Sequence[str]], Images] = _no_images
    verdict: Verdict | None = None
    labels: LabelCheck | None = None

    @property
    def several_seeds(self) -> bool:
        """Every variant has a spread over seeds."""
        return len(self.evaluations[0].seeds) > 1

    def title(self, text: str) -> str:
        """Return a title with the dataset and the kind of its images."""
        return title(text, self.evaluations[0].dataset, self.evaluations[0].kind)


def shares_text(subject: str, shares: Mapping[str, float]) -> str:
    """Return "subject: name 12.3 %, name 45.6 %." for a text alternative."""
    return f"{subject}: " + ", ".join(f"{name} {percent(share)}" for name, share in shares.items()) + "."


def of_one_dataset(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table without the columns that are equal in every row of one dataset."""
    return table.drop(columns=["dataset", "kind"])
