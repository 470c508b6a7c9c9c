"""One Markdown card per variant: what it was trained on and how, what it reached, and what it must not be taken for.

The headings follow Mitchell et al., "Model cards for model reporting", 2019. Every number comes from the
evaluation, the verdict and the backbone; measured seconds are left out, so equal results give equal bytes.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from convnet.comparison.statistics import t_interval, wilson_interval
from convnet.data.splits import SPLITS
from convnet.report import tables
from convnet.report.backbone_text import backbone_sentence
from convnet.system.errors import printable
from convnet.system.files import write_text

TEMPLATES = Path(__file__).parent / "templates"
METRICS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "calibration_error": "expected calibration error",
}
# What begins emphasis, code, a link, HTML, a table cell or mathematics, and the // that makes an address a link.
MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~$&@]|(?<=:)/(?=/))")


def write_model_card(
    evaluation: tables.Evaluation, verdict: Mapping[str, Any], backbone: Mapping[str, Any], destination: Path
) -> None:
    """Write the card of one variant on one dataset.

    Args:
        evaluation: content of `data/evaluations/<dataset>-<variant>.json`.
        verdict: from `verdict.verdict`, on the same dataset.
        backbone: content of the dataset's backbone.json, told where the variant uses it.
        destination: the Markdown file.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=False,  # Markdown, not HTML: `finalize` escapes
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    compared = [row for row in verdict["comparisons"] if row["variant"] == evaluation["variant"]]
    accuracy = tables.mean(tables.split_values(evaluation, "test", "accuracy"))
    test_images = evaluation["seeds"][0]["splits"]["test"]["n"]
    text = environment.get_template("model_card.md.j2").render(
        evaluation=evaluation,
        pictures=tables.pictures_text(evaluation),
        counts={split: evaluation["seeds"][0]["splits"][split]["n"] for split in SPLITS},
        backbone=backbone_sentence(backbone, evaluation["recipe"]["last_layer"]) if evaluation["backbone"] else None,
        settings=_flatten(_shown_recipe(evaluation["recipe"])),
        metrics=[_metric_row(evaluation, metric, name) for metric, name in METRICS.items()],
        loss=f"{tables.mean(tables.split_values(evaluation, 'test', 'loss')):.3f}",
        gap=f"{100 * tables.mean([float(run['generalisation_gap']) for run in evaluation['seeds']]):+.1f}",
        recalls=[(name, _mean_recall(evaluation, name)) for name in evaluation["classes"]],
        test_images=test_images,
        wilson=[_percent(end) for end in wilson_interval(accuracy, test_images)],
        sentences=[row["sentence"] for row in compared],
    )
    write_text(destination, text)


def escape_markdown(text: str) -> str:
    """Return `text` so that Markdown shows it as it is, on one line."""
    return MARKDOWN.sub(r"\\\1", printable(text))


def _finalize(value: Any) -> Any:
    return escape_markdown(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _metric_row(evaluation: tables.Evaluation, metric: str, name: str) -> tuple[str, str, str, str]:
    """Return name, mean, standard deviation and interval over seeds, in percent."""
    values = tables.split_values(evaluation, "test", metric)
    spread = tables.deviation(values)
    interval = t_interval(values)
    return (
        name,
        _percent(tables.mean(values)),
        "one seed" if spread is None else _percent(spread),
        "one seed" if interval is None else _interval(interval),
    )


def _mean_recall(evaluation: tables.Evaluation, name: str) -> str:
    recalls = [run["splits"]["test"]["recall"][name] for run in evaluation["seeds"]]
    known = [float(recall) for recall in recalls if recall is not None]
    return _percent(tables.mean(known)) if known else "no test images"


def _shown_recipe(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that made the model: on a backbone, `network` stands for the head's dense layer alone."""
    shown = dict(recipe)
    if shown.get("backbone") and "network" in shown:
        shown["dense"] = shown.pop("network")["dense"]
    return shown


def _flatten(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return nested settings as (dotted name, value); what is not set is left out."""
    rows: list[tuple[str, str]] = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            rows += _flatten(value, f"{prefix}{name}.")
        elif value is not None:
            rows.append((f"{prefix}{name}", ", ".join(map(str, value)) if isinstance(value, list) else str(value)))
    return rows


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _interval(interval: tuple[float, float]) -> str:
    low, high = (min(max(end, 0.0), 1.0) for end in interval)
    return f"{_percent(low)} to {_percent(high)}"
