"""What a remedy is, and where remedies are found: every module of `convnet.remedies` defines one as `REMEDY`."""

import importlib
import pkgutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from convnet.params.messages import validate
from convnet.params.section import Section
from convnet.system.errors import UserError

Hook = Callable[..., Any]


class Strength(NamedTuple):
    """The range in which a remedy's strength is tuned."""

    knob: str
    low: float
    high: float
    scale: Literal["log", "linear"]

    def at(self, share: float) -> float:
        """Return the value at a share of the range, 0..1, in three digits."""
        logarithmic = self.low * (self.high / self.low) ** share
        value = logarithmic if self.scale == "log" else self.low + (self.high - self.low) * share
        return float(f"{value:.3g}")


class Batch(NamedTuple):
    """A batch in the compiled step: tensors of the backend.

    Attributes:
        images: (n, height, width, 3), or (n, features).
        labels: (n, units), one-hot from 3 classes on; of 2 classes (n, 1), the share of the second.
        weights: (n,), or None where all images weigh the same.
    """

    images: Any
    labels: Any
    weights: Any


class Derived(NamedTuple):
    """What a remedy makes of finished networks.

    Attributes:
        model: pixels in, and outputs as those of a trained network.
        probabilities: by split, (images, classes). None: those that the model gives.
        forwards: how often an image passes through a trained network.
    """

    model: Any
    probabilities: dict[str, Any] | None
    forwards: int


@dataclass(frozen=True, kw_only=True)
class Remedy:
    """A remedy against overfitting; its name is that of its module. A hook gets the settings first.

    Attributes:
        sentence: what it does, for the report.
        source: where it was published.
        settings: its section in a variant; a number there sets the first field, `true` leaves the defaults. None: the
            variant changes keys that are not the remedy's own.
        alone: settings that a variant may name by themselves, as in `brightness: 0.2`.
        used: (recipe, recipe of the baseline), both dumped -> its knobs, or None; for a remedy without `settings`.
        on_features: how it acts on cached features, or why it cannot.
        refuses_features: it cannot.
        needs_features: it acts on cached features only.
        strength: the range of its strength; None where it is on or off.
        excludes: remedies that it does not go together with.
        draws: (settings, generator, images) -> float32 (images, numbers), the random numbers of an epoch.
        batch: (settings, batch, draws) -> batch, in the compiled step.
        mixes: `batch` mixes the labels of images. It then comes after the others.
        network: (settings, parts) -> parts of the small CNN, see `convnet.models.cnn.Parts`.
        loss: (settings, loss, model) -> the loss to train on. Reported losses are those of the plain task.
        optimizer: (settings, optimizer, model, steps) changes the optimizer before it is built.
        solve: (settings, training, validation) -> kernel and bias of the output layer, in place of training. The head
            then has no other layer.
        evaluated: (settings, model) -> a context in which the model has the weights that are measured and saved.
        derived: (settings, models, predictions, generator) -> `Derived`, from finished networks in place of training.
            A network is a saved model and its predictions by split.
        members: the setting with the number of networks that `derived` takes; None: one.
    """

    sentence: str
    source: str
    on_features: str
    settings: type[Section] | None = None
    alone: tuple[str, ...] = ()
    used: Callable[[Mapping[str, Any], Mapping[str, Any]], Mapping[str, Any] | None] | None = None
    refuses_features: bool = False
    needs_features: bool = False
    strength: Strength | None = None
    excludes: tuple[str, ...] = ()
    draws: Hook | None = None
    batch: Hook | None = None
    mixes: bool = False
    network: Hook | None = None
    loss: Hook | None = None
    optimizer: Hook | None = None
    solve: Hook | None = None
    evaluated: Hook | None = None
    derived: Hook | None = None
    members: str | None = None


@cache
def find_remedies() -> dict[str, Remedy]:
    """Return every remedy by its name."""
    folder = Path(__file__).parents[1] / "remedies"
    names = sorted(module.name for module in pkgutil.iter_modules([str(folder)]))
    return {name: importlib.import_module(f"convnet.remedies.{name}").REMEDY for name in names}


def named_remedies(variant: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Divide the keys of a variant into remedies with settings, and others.

    Returns:
        Remedy -> what the variant gives it, not yet checked; and the other keys.
    """
    keys = remedy_keys()
    others = {key: value for key, value in variant.items() if key not in keys}
    named: dict[str, Any] = {key: value for key, value in variant.items() if keys.get(key) == key}
    for key, value in variant.items():
        if key in keys and keys[key] != key:
            given = named.get(keys[key], {})
            named[keys[key]] = (given if isinstance(given, dict) else {}) | {key: value}
    return named, others


@cache
def remedy_keys() -> dict[str, str]:
    """Return the remedy of every key that a variant may have."""
    known = {name: remedy for name, remedy in find_remedies().items() if remedy.settings}
    return {name: name for name in known} | {key: name for name, remedy in known.items() for key in remedy.alone}


def read_settings(name: str, value: Any, where: str) -> Section | None:
    """Return the settings that a variant gives a remedy: a number, true, or a mapping. None: false.

    Raises:
        UserError: a setting is unknown, of a wrong type or out of range.
    """
    section = find_remedies()[name].settings
    assert section is not None  # `named_remedies` has only such names
    if value is False:
        return None
    if value is not True and not isinstance(value, dict):
        first = next(iter(section.model_fields), None)
        if first is None:
            raise UserError(f"params.yaml: {where}.{name} is {value!r}, but it has no settings; write true")
        value = {first: value}
    settings: Section = validate(section, {} if value is True else value, f"{where}.{name}")
    return settings


def check_together(remedies: Collection[str], where: str) -> None:
    """Reject remedies that do not go together.

    Raises:
        UserError: one of them excludes another, or two are made from finished networks.
    """
    derived = [name for name in remedies if find_remedies()[name].derived]
    if len(derived) > 1:
        both = " and ".join(derived)
        raise UserError(f"params.yaml: {where} has {both}, which both change a finished variant; take one out")
    for name in remedies:
        for other in find_remedies()[name].excludes:
            if other in remedies:
                raise UserError(f"params.yaml: {where} has {name} and {other}, which do not go together; take one out")


def used_remedies(recipe: Mapping[str, Any], baseline: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return name, sentence, source and knobs of each remedy of a recipe; both recipes are dumped."""
    found = []
    for name, remedy in find_remedies().items():
        knobs = remedy.used(recipe, baseline) if remedy.used else recipe.get("remedies", {}).get(name)
        if knobs is not None:
            found.append({"name": name, "sentence": remedy.sentence, "source": remedy.source, "knobs": dict(knobs)})
    return found
