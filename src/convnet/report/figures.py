"""The figures of the page: one kind is a group of which one is open, and the open ones are the most important."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from convnet.report.embedding import EmbeddedImage


@dataclass(frozen=True)
class Figure:
    """A figure on the page, with its words for readers who cannot see it."""

    section: str  # a key of `lesson.SECTIONS`
    title: str
    path: Path  # PNG
    alt: str
    caption: str = ""  # how to read it
    table: pd.DataFrame | None = None
    embedded: EmbeddedImage | None = None  # None: the page embeds it


@dataclass(frozen=True)
class FigureGroup:
    """Figures of one kind: one figure, or one per variant, of which one is open."""

    figures: Sequence[Figure]
    opened: int = 0  # place of the open figure

    @property
    def caption(self) -> str:
        """The sentences that all captions share."""
        others = [_sentences(figure.caption) for figure in self.figures[1:]]
        first = _sentences(self.figures[0].caption)
        return " ".join(sentence for sentence in first if all(sentence in of_one for of_one in others))

    def own_words(self, figure: Figure) -> str:
        """Return the rest of a figure's caption."""
        shared = _sentences(self.caption)
        return " ".join(sentence for sentence in _sentences(figure.caption) if sentence not in shared)


def _sentences(text: str) -> list[str]:
    return re.split(r"(?<=[.!?]) ", text)


def _kind(figure: Figure) -> str:
    """Return the first two words of the title: figures of one kind differ in the variant behind them."""
    return " ".join(figure.title.split()[:2])


def group_figures(figures: Sequence[Figure], kept: str) -> dict[str, list[FigureGroup]]:
    """Return the figures by section; neighbours of one kind form a group, where that of the variant `kept` is open."""
    groups: dict[str, list[list[Figure]]] = {}
    for figure in figures:
        of_section = groups.setdefault(figure.section, [])
        before = of_section[-1][0] if of_section else None
        if before and (_kind(before) == _kind(figure) or before.caption == figure.caption != ""):
            of_section[-1].append(figure)
        else:
            of_section.append([figure])
    return {section: [_group(of_kind, kept) for of_kind in found] for section, found in groups.items()}


def _group(figures: Sequence[Figure], kept: str) -> FigureGroup:
    of_kept = [place for place, figure in enumerate(figures) if figure.path.stem.endswith(f"_{kept}")]
    return FigureGroup(figures, of_kept[0] if of_kept else 0)


def by_importance(
    datasets: Sequence[tuple[Sequence[Figure], Mapping[str, Sequence[FigureGroup]]]],
) -> list[Figure]:
    """Return the figures of all datasets, those that a reader sees without a click first; the datasets take turns."""
    opened = {id(group.figures[group.opened]) for _, groups in datasets for found in groups.values() for group in found}
    placed = [pair for figures, _ in datasets for pair in enumerate(figures)]
    placed.sort(key=lambda pair: (id(pair[1]) not in opened, pair[0]))
    return [figure for _, figure in placed]
