"""The backbone for a user's own images, and the size at which it sees them, as `convnet init` writes them."""

from collections.abc import Sequence
from dataclasses import replace

from convnet.data.suggestions import Advice, Look, advise
from convnet.engine.forecast import duration
from convnet.features.candidates import LONGEST_FEATURES, Candidate, Images, candidate, candidates
from convnet.features.weights import is_published
from convnet.params.applications import architectures
from convnet.params.messages import nearest
from convnet.params.schema import Params
from convnet.system.errors import UserError

FALLBACK = "compact"  # trained here, so always available
PRETRAINED = "inception_v3"  # the course's
BOUNDS = (0.5, 2.0, 8.0)  # times the work of the proposed backbone; alternatives are the most accurate ones below


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
    images = Images(look.split_counts, look.shorter_side, advise(look, params, FALLBACK).image_size[0], params)
    options = candidates(images)
    name, why = (wished, "as asked") if wished else _choose(options, kind, images)
    advice = advise(look, params, name)
    reasons, transfer = [f"backbone {name}: {why}", *advice.reasons], dict(advice.transfer)
    chosen = candidate(name, replace(images, small_side=advice.image_size[0]))
    if chosen is not None:
        reasons += _size_lines(chosen)
        if chosen.side != advice.image_size[0]:
            transfer["image_size"] = [chosen.side, chosen.side]
    return replace(advice, transfer=transfer, reasons=(*reasons, *_alternatives(options, chosen, images)))


def _choose(options: Sequence[Candidate], kind: str, images: Images) -> tuple[str, str]:
    """Return the backbone and the reason."""
    if kind == "rendered":
        return FALLBACK, "trained here on rendered images, as these are"
    here = [option for option in options if option.place]
    # Without a file, an entry of params.yaml is downloaded: the other networks were not measured here.
    entries = (option for option in options if option.name not in architectures() and option.has_hash)
    if usable := here or [option for option in entries if is_published(option.weights)]:
        best = next((option for option in usable if option.is_fast), min(usable, key=lambda option: option.work))
        slow = "" if best is usable[0] else f"; {usable[0].name} takes longer than {duration(LONGEST_FEATURES)}"
        place = best.place or "at their published address"
        seen = f"{best.cost.accuracy:.1f} % on ImageNet, trained on {best.settings.seen}"
        return best.name, f"{seen}; its weights are {place}{slow}"
    course = images.params.backbones.get(PRETRAINED)
    if course is None or course.weights is None:
        return FALLBACK, f"params.yaml defines no {PRETRAINED} with weights"
    if images.side < course.smallest_image:
        return FALLBACK, f"{PRETRAINED} needs {course.smallest_image} pixels a side, most of these have fewer"
    return FALLBACK, f"trained here, because the weights of {PRETRAINED} are neither on this machine nor reachable"


def _size_lines(chosen: Candidate) -> list[str]:
    """Return the reason for the size that the backbone sees, and its time there and at the dataset's size."""
    own, side, small = chosen.own_side, chosen.side, chosen.images.small_side
    if side == own:
        first = f"size for the backbone {own}x{own}: its own is {chosen.settings.native_size}, and the shorter side of "
        first += f"half of the images is {chosen.images.side} pixels or more"
    else:
        first = f"size for the backbone {side}x{side}: {own}x{own} takes too long ({_times(chosen, own)})"
    beside = f"; at {small}x{small} {_times(chosen, small)}" if small < side else ""
    return [first, f"time for {chosen.name} on this machine: {_times(chosen, side)}{beside}"]


def _alternatives(options: Sequence[Candidate], chosen: Candidate | None, images: Images) -> list[str]:
    """Return two lines: the most accurate backbone of less work, and that of more work."""
    reference = chosen or candidate("InceptionV3", images)
    assert reference is not None  # every network of keras.applications is an entry
    others = [option for option in options if option.side == option.own_side]
    found = [chosen] if chosen else []
    for bound in BOUNDS:
        new = (option for option in others if option.network not in [each.network for each in found])
        found += [option for option in new if option.work <= bound * reference.work][:1]
    return [_alternative(option) for option in found if option is not chosen][:2]


def _alternative(option: Candidate) -> str:
    weights = option.place or f"not on this machine ({option.cost.megabytes:.0f} MB)"
    return (
        f"alternative {option.name} at {option.side}x{option.side}: {_times(option, option.side)}, "
        f"{option.cost.accuracy:.1f} % on ImageNet, weights {weights}"
    )


def _times(option: Candidate, side: int) -> str:
    seconds = option.seconds(side)
    if seconds is None:
        return "unknown on a GPU"
    features, epoch = (duration(max(1.0, each)) for each in seconds)
    return f"features roughly {features}{f', an epoch of fine-tuning {epoch}' if option.is_tuned else ''}"
