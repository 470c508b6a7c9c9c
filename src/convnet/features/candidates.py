"""Backbones that may suit a user's own images: where their weights are, the size that they see, and their time."""

from dataclasses import dataclass

from convnet.engine.backbone_work import backbone_multiplications
from convnet.engine.forecast import multiplications_per_second
from convnet.features.weights import place_on_this_machine
from convnet.params.applications import Cost, architectures, cost_of
from convnet.params.backbone import Backbone, Weights
from convnet.params.schema import Params

HALVINGS = 32  # most networks halve an image five times, so its side is rounded up to a multiple of this
LEAST_SIDE = 64  # pixels of most images; of fewer, a pretrained network leaves a map of three pixels a side
FORWARD = 2.0  # predicting reaches this many times the speed of training
LONGEST_FEATURES = 30 * 60.0  # seconds; a slower backbone, or a size at which it is slower, is not proposed


@dataclass(frozen=True)
class Images:
    """What decides sizes and times.

    Attributes:
        counts: images by split.
        side: the shorter side of most images, in pixels.
        small_side: the side of the dataset's arrays.
        params: the whole of params.yaml.
        time_factor: what a measurement took, as a multiple of its forecast.
    """

    counts: dict[str, int]
    side: int
    small_side: int
    params: Params
    time_factor: float = 1.0


@dataclass(frozen=True)
class Candidate:
    """A backbone whose work is recorded.

    Attributes:
        name: in params.yaml.
        settings: its entry there.
        weights: its weight file there.
        cost: its recorded work.
        place: where its weights are on this machine, or None.
        images: those that it may see.
    """

    name: str
    settings: Backbone
    weights: Weights
    cost: Cost
    place: str | None
    images: Images

    @property
    def network(self) -> tuple[str, float | None]:
        """The architecture and its width, which several entries may share."""
        return self.settings.architecture, self.settings.alpha

    @property
    def has_hash(self) -> bool:
        """Whether the published file can be checked."""
        return bool(self.weights.sha256 or self.weights.md5)

    @property
    def is_pinned(self) -> bool:
        """Whether the published file has a hash, or a file on this machine may be the named stand-in."""
        return self.has_hash or bool(self.place and self.weights.stand_ins)

    @property
    def own_side(self) -> int:
        """The side that the backbone was trained on, at most that of the images, rounded up."""
        rounded = -(-self.images.side // HALVINGS) * HALVINGS
        return max(self.settings.smallest_image, min(self.settings.native_size or rounded, rounded))

    @property
    def side(self) -> int:
        """The own side if that is fast enough, or the dataset's."""
        slow = (self.seconds(self.own_side) or (0.0,))[0] > LONGEST_FEATURES
        return max(self.settings.smallest_image, self.images.small_side) if slow else self.own_side

    @property
    def is_tuned(self) -> bool:
        """Whether the run fine-tunes."""
        return bool(self.images.params.run.fine_tune_variants)

    @property
    def is_fast(self) -> bool:
        """Whether the features are made in time."""
        return (self.seconds(self.side) or (0.0,))[0] <= LONGEST_FEATURES

    @property
    def work(self) -> float:
        """Multiplications of an image."""
        return sum(backbone_multiplications(self.settings, (self.side, self.side)))

    def seconds(self, side: int) -> tuple[float, float] | None:
        """Return the seconds of all features and of an epoch of fine-tuning, or None where they are unknown."""
        params, counts = self.images.params, self.images.counts
        threads = params.engine.threads_per_job
        forward = multiplications_per_second("float32", threads)
        training = multiplications_per_second(params.fine_tune.precision, threads)
        if forward is None or training is None:
            return None
        frozen, trained = backbone_multiplications(self.settings, (side, side))
        of_epoch = counts["train"] + counts["validation"] / 3
        features = sum(counts.values()) * (frozen + trained) / (FORWARD * forward)
        factor = self.images.time_factor
        return factor * features, factor * of_epoch * (frozen + 3 * trained) / training


def candidate(name: str, images: Images) -> Candidate | None:
    """Return a backbone of keras.applications by its name in params.yaml, or None for another."""
    settings = images.params.backbones[name]
    cost = cost_of(settings.architecture, settings.alpha)
    if cost is None or settings.weights is None:
        return None
    return Candidate(name, settings, settings.weights, cost, place_on_this_machine(settings.weights), images)


def candidates(images: Images) -> list[Candidate]:
    """Return the backbones with pinned weights that do not enlarge most images, the most accurate first."""
    found: dict[tuple[str, float | None], Candidate] = {}
    for name in sorted(images.params.backbones, key=lambda name: name in architectures()):  # entries first
        one = candidate(name, images)
        least = max(LEAST_SIDE, images.params.backbones[name].smallest_image)
        if one and one.is_pinned and one.cost.accuracy and images.side >= least:
            found.setdefault(one.network, one)
    return sorted(found.values(), key=lambda one: -(one.cost.accuracy or 0.0))
