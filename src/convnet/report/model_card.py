"""One Markdown card per variant: its data, its training, its results, and the limits of what they mean.

The headings follow Mitchell et al., "Model cards for model reporting", 2019. Measured seconds are left out, so equal
results give equal bytes.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from convnet.comparison.schema import Verdict
from convnet.comparison.statistics import wilson_interval
from convnet.evaluation.schema import Evaluation
from convnet.report.backbone_text import backbone_sentence
from convnet.report.style import kind_words
from convnet.report.tables import clipped_interval
from convnet.report.variant_part import flat_settings
from convnet.system.errors import printable
from convnet.system.files import write_text
from convnet.system.formats import percent, points

TEMPLATES = Path(__file__).parent / "templates"
METRICS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "calibration_error": "expected calibration error",
}
# The start of emphasis, code, a link, HTML, a table cell or mathematics, and the // that makes an address a link.
MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~$&@]|(?<=:)/(?=/))")


def write_model_card(evaluation: Evaluation, verdict: Verdict, backbone: Mapping[str, Any], destination: Path) -> None:
    """Write the card of one variant; `backbone` is the dataset's backbone.json, described where the variant uses it."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=False,  # Markdown, not HTML: `finalize` escapes
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    tests = [run.splits["test"] for run in evaluation.seeds]
    accuracy = fmean(test.accuracy for test in tests)
    test_images = sum(test.n for test in tests) if evaluation.split == "folds" else tests[0].n
    recipe = evaluation.recipe
    text = environment.get_template("model_card.md.j2").render(
        evaluation=evaluation,
        kind=kind_words(evaluation.kind),
        counts={split: metrics.n for split, metrics in evaluation.seeds[0].splits.items()},
        backbone=backbone_sentence(backbone, recipe["last_layer"]) if evaluation.backbone else None,
        settings=flat_settings(recipe),
        metrics=[(name, *_over_seeds([getattr(test, metric) for test in tests])) for metric, name in METRICS.items()],
        loss=f"{fmean(test.loss for test in tests):.3f}",
        gap=points(fmean(run.generalisation_gap for run in evaluation.seeds)),
        recalls=[(name, _mean_recall(evaluation, name)) for name in evaluation.classes],
        test_images=test_images,
        wilson=[percent(end) for end in wilson_interval(accuracy, test_images)],
        sentences=[row.sentence for row in verdict.comparisons if row.variant == evaluation.variant],
    )
    write_text(destination, text)


def escape_markdown(text: str) -> str:
    """Return `text` so that Markdown shows it as it is, on one line."""
    return MARKDOWN.sub(r"\\\1", printable(text))


def _finalize(value: Any) -> Any:
    return escape_markdown(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _over_seeds(values: list[float]) -> tuple[str, str, str]:
    """Return mean, standard deviation and 95 % interval, in percent."""
    if len(values) == 1:
        return percent(values[0]), "one seed", "one seed"
    low, high = clipped_interval(values)
    return percent(fmean(values)), percent(stdev(values)), f"{percent(low)} to {percent(high)}"


def _mean_recall(evaluation: Evaluation, name: str) -> str:
    recalls = [run.splits["test"].recall[name] for run in evaluation.seeds]
    known = [recall for recall in recalls if recall is not None]
    return percent(fmean(known)) if known else "no test images"
