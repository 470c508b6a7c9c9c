"""The backbone for a user's own images, and the size at which it sees them, as `convnet init` writes them."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from convnet.data.suggestions import Advice, Look, advise
from convnet.engine.backbone_work import backbone_multiplications
from convnet.engine.forecast import duration, multiplications_per_second
from convnet.features.weights import is_published, place_on_this_machine
from convnet.params.applications import Cost, architectures, cost_of
from convnet.params.backbone import Backbone, Weights
from convnet.params.messages import nearest
from convnet.params.schema import Params
from convnet.system.errors import UserError

FALLBACK = "compact"  # trained here, so always available
PRETRAINED = "inception_v3"  # the course's
HALVINGS = 32  # most networks halve an image five times, so its side is rounded up to a multiple of this
FORWARD = 1.5  # predicting reaches this many times the speed of training
LONGEST_FEATURES = 30 * 60.0  # seconds; a slower backbone, or a size at which it is slower, is not proposed
LONGEST_EPOCH = 90.0  # seconds of an epoch of fine-tuning, of which five seeds may take hundreds
BOUNDS = (0.5, 2.0, 8.0)  # times the work of the proposed backbone; alternatives are the most accurate ones below


@dataclass(frozen=True)
class Images:
    """What decides the time: the images, their usual shorter side, the dataset's side, and the settings."""

    counts: dict[str, int]  # by split
    side: int
    small_side: int
    params: Params


@dataclass(frozen=True)
class Option:
    """A backbone whose weights are pinned.

    Attributes:
        name: in params.yaml.
        settings: its entry there.
        weights: its weight file there.
        cost: its recorded work.
        place: where its weights are on this machine, or None.
        sides: the sides that it may see, in pixels: its own and the dataset's.
        images: those that it may see.
    """

    name: str
    settings: Backbone
    weights: Weights
    cost: Cost
    place: str | None
    sides: tuple[int, int]
    images: Images

    @property
    def network(self) -> tuple[str, float | None]:
        """The architecture and its width, which several entries may share."""
        return self.settings.architecture, self.settings.alpha

    @property
    def side(self) -> int:
        """The largest side that is fast enough."""
        return next((side for side in self.sides if self._is_fast(side)), self.sides[-1])

    @property
    def work(self) -> float:
        """Multiplications of an image at that side."""
        return sum(backbone_multiplications(self.settings, (self.side,) * 2))

    def seconds(self, side: int) -> tuple[float, float] | None:
        """Return the seconds of all features and of an epoch of fine-tuning, or None where they are unknown."""
        params, counts = self.images.params, self.images.counts
        threads = params.engine.threads_per_job
        speeds = [multiplications_per_second(each, threads) for each in ("float32", params.fine_tune.precision)]
        if None in speeds:
            return None
        forward, training = (speed for speed in speeds if speed is not None)
        frozen, trained = backbone_multiplications(self.settings, (side, side))
        of_epoch = counts["train"] + counts["validation"] / 3
        features = sum(counts.values()) * (frozen + trained) / (FORWARD * forward)
        return features, of_epoch * (frozen + 3 * trained) / training

    def times(self, side: int) -> str:
        """Return the seconds in words."""
        seconds = self.seconds(side)
        if seconds is None:
            return "unknown on a GPU"
        features, epoch = (duration(max(1.0, each)) for each in seconds)
        fine_tuning = f", an epoch of fine-tuning {epoch}" if self.images.params.run.fine_tune_variants else ""
        return f"features roughly {features}{fine_tuning}"

    def _is_fast(self, side: int) -> bool:
        features, epoch = self.seconds(side) or (0.0, 0.0)
        tunes = bool(self.images.params.run.fine_tune_variants)
        return features <= LONGEST_FEATURES and not (tunes and epoch > LONGEST_EPOCH)


def advise_with_backbone(look: Look, kind: str, params: Params, wished: str | None) -> Advice:
    """Return settings that suit the images, with the backbone, the size that it sees, and two alternatives.

    Args:
        look: at the images.
        kind: "photographs" or "rendered".
        params: defines the backbones.
        wished: the user's choice, or None.

    Raises:
        UserError: the wished backbone is not defined.
    """
    if wished is not None and wished not in params.backbones:
        raise UserError(f"the backbone {wished!r} is unknown{nearest(wished, list(params.backbones))}")
    counts = {split: sum(of_class.values()) for split, of_class in look.summary["counts"].items()}
    small = advise(look, params, FALLBACK).image_size[0]
    images = Images(counts, look.shorter_side, small, params)
    options = _options(images)
    name, why = (wished, "as asked") if wished else _choose(options, kind, images)
    advice = advise(look, params, name)
    chosen = _option(name, replace(images, small_side=advice.image_size[0]))
    reasons = [f"backbone {name}: {why}", *advice.reasons]
    transfer = dict(advice.transfer)
    if chosen is not None:
        if chosen.side != advice.image_size[0]:
            transfer["image_size"] = [chosen.side, chosen.side]
        reasons += _size_lines(chosen)
    return replace(advice, transfer=transfer, reasons=(*reasons, *_alternatives(options, chosen, images)))


def _choose(options: Iterable[Option], kind: str, images: Images) -> tuple[str, str]:
    """Return the backbone and the reason."""
    course = images.params.backbones.get(PRETRAINED)
    if kind == "rendered":
        return FALLBACK, "trained here on rendered images, as these are"
    here = [option for option in options if option.place]
    # Without a file, one of the entries of params.yaml is downloaded: these were measured here.
    entries = (each for each in options if each.name not in architectures() and _has_hash(each.weights))
    usable = here or [each for each in entries if is_published(each.weights)]
    if usable:
        fast = [each for each in usable if (each.seconds(each.side) or (0.0,))[0] <= LONGEST_FEATURES]
        best = fast[0] if fast else min(usable, key=lambda each: each.work)
        place = best.place or "at their published address"
        slow = "" if best is usable[0] else f"; {usable[0].name} takes longer than {duration(LONGEST_FEATURES)}"
        return best.name, f"trained on {best.settings.seen}; its weights are {place}{slow}"
    if course is None or course.weights is None:
        return FALLBACK, f"params.yaml defines no {PRETRAINED} with weights"
    if images.side < course.smallest_image:
        return FALLBACK, f"{PRETRAINED} needs {course.smallest_image} pixels a side, most of these have fewer"
    return FALLBACK, f"trained here, because the weights of {PRETRAINED} are neither on this machine nor reachable"


def _options(images: Images) -> list[Option]:
    """Return the backbones with pinned weights that do not enlarge most images, the most accurate first."""
    found: dict[tuple[str, float | None], Option] = {}
    for name in sorted(images.params.backbones, key=lambda name: name in architectures()):  # entries first
        option = _option(name, images)
        if option and option.cost.accuracy and option.settings.smallest_image <= images.side and _is_pinned(option):
            found.setdefault(option.network, option)
    return sorted(found.values(), key=lambda option: -(option.cost.accuracy or 0.0))


def _option(name: str, images: Images) -> Option | None:
    """Return a backbone of keras.applications with its recorded cost, or None."""
    settings = images.params.backbones[name]
    cost = cost_of(settings.architecture, settings.alpha)
    if cost is None or settings.weights is None:
        return None
    rounded = -(-images.side // HALVINGS) * HALVINGS
    own = max(settings.smallest_image, min(settings.native_size or rounded, rounded))
    sides = own, max(settings.smallest_image, images.small_side)
    return Option(name, settings, settings.weights, cost, place_on_this_machine(settings.weights), sides, images)


def _has_hash(weights: Weights) -> bool:
    return bool(weights.sha256 or weights.md5)


def _is_pinned(option: Option) -> bool:
    """Return whether the published file has a hash, or a file on this machine may be the named stand-in."""
    return _has_hash(option.weights) or bool(option.place and option.weights.stand_ins)


def _size_lines(chosen: Option) -> list[str]:
    own, small = chosen.sides
    if chosen.side == own:
        first = f"size for the backbone {own}x{own}: its own is {chosen.settings.native_size}, and the shorter side of "
        first += f"half of the images is {chosen.images.side} pixels or more"
    else:
        first = f"size for the backbone {small}x{small}: {own}x{own} takes too long ({chosen.times(own)})"
    beside = f"; at {small}x{small} {chosen.times(small)}" if small < chosen.side else ""
    return [first, f"time for {chosen.name} on this machine: {chosen.times(chosen.side)}{beside}"]


def _alternatives(options: list[Option], chosen: Option | None, images: Images) -> list[str]:
    """Return two lines: the most accurate backbone of less work, and that of more work."""
    reference = chosen or _option("InceptionV3", images)
    if reference is None:
        return []
    others = [
        each for each in options if each.side == each.sides[0] and not (chosen and each.network == chosen.network)
    ]
    found: list[Option] = []
    for bound in BOUNDS:
        below = [each for each in others if each.work <= bound * reference.work and each not in found]
        found += below[:1]
    return [_alternative(option) for option in found[:2]]


def _alternative(option: Option) -> str:
    weights = option.place or f"not on this machine ({option.cost.megabytes:.0f} MB)"
    return (
        f"alternative {option.name} at {option.side}x{option.side}: {option.times(option.side)}, "
        f"{option.cost.accuracy:.1f} % on ImageNet, weights {weights}"
    )
