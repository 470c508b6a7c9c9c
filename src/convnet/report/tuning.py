"""The rows about equal tuning on the page."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from convnet.system.language import tr


class TunedVariant(NamedTuple):
    """What tuning found for one variant."""

    variant: str
    trials: int
    failed: int  # trials that did not train
    loss: float  # validation loss of the settings in params.yaml
    chosen_loss: float
    chosen: str  # the settings that were chosen
    minutes: float  # of all trials


def tuned_variants(tuning: Mapping[str, Any]) -> list[TunedVariant]:
    """Return one row per tuned variant; none where tuning is switched off.

    Args:
        tuning: what the tune stage wrote.
    """
    rows = []
    for variant, found in tuning["variants"].items():
        trials = found["trials"]
        losses = [trial["validation_loss"] for trial in trials]
        rows.append(
            TunedVariant(
                variant=variant,
                trials=len(trials),
                failed=losses.count(None),
                loss=losses[0],
                chosen_loss=min(loss for loss in losses if loss is not None),
                chosen=_in_words(found["chosen"]),
                minutes=sum(trial["seconds"] or 0.0 for trial in trials) / 60,
            )
        )
    return rows


def _in_words(settings: Mapping[str, Any]) -> str:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= {f"{name}.{key}": part for key, part in value.items()} if isinstance(value, Mapping) else {name: value}
    parts = [f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in flat.items()]
    return ", ".join(parts) or tr("the settings of params.yaml")
