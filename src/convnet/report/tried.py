"""The table of what was tried: each variant's remedies in a sentence, with their knobs and their cost."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from convnet.evaluation.schema import Evaluation
from convnet.report.gains import minutes_words
from convnet.report.tables import seconds_per_seed
from convnet.system.language import tr

IN_NETWORK_LINE = ("transfer", "fine tune", "network size")


def tried_table(evaluations: Sequence[Evaluation], tried: Mapping[str, Sequence[Mapping[str, Any]]]) -> pd.DataFrame:
    """Return one row per variant and remedy.

    Args:
        evaluations: of one dataset, in the order wanted.
        tried: by variant, its remedies with name, sentence, source and knobs.
    """
    seconds = seconds_per_seed(evaluations)
    return pd.DataFrame(
        {
            "variant": evaluation.variant,
            "remedy": remedy["name"].replace("_", " "),
            "effect": tr(remedy["sentence"]),
            "knobs": ", ".join(f"{knob.replace('_', ' ')} {_text(value)}" for knob, value in remedy["knobs"].items()),
            "minutes per seed": minutes_words(seconds[evaluation.variant] / 60),
            "file, MB": f"{evaluation.model_bytes / 1e6:.1f}",
            "source": remedy["source"],
        }
        for evaluation in evaluations
        for remedy in tried.get(evaluation.variant, ())
    )


def effects(tried: pd.DataFrame | None) -> dict[str, list[str]]:
    """Return the sentences of each variant's remedies, without those that the line on its network holds."""
    if tried is None or tried.empty:
        return {}
    shown = tried[~tried["remedy"].isin(IN_NETWORK_LINE)]
    return {str(name): rows["effect"].tolist() for name, rows in shown.groupby("variant", sort=False)}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return tr("yes") if value else tr("no")
    if isinstance(value, list):
        return "-".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
