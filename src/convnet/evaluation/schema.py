"""The numbers of one variant on one dataset, as data/evaluations/<dataset>-<variant>.json holds them."""

from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from convnet.params.section import ImageKind, SplitKind
from convnet.system.errors import UserError
from convnet.system.files import read_json

T = TypeVar("T")
CHECK = "label_check.json"  # beside the evaluations of a dataset


class Frozen(BaseModel):
    """A record that nobody changes and that knows all of its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ReliabilityBin(Frozen):
    """The images whose confidence is in one bin; means are None in an empty bin."""

    lower: float
    upper: float
    n: int
    confidence: float | None
    accuracy: float | None


class SplitMetrics(Frozen):
    """One model on one split: shares are 0..1, the loss is in nats; `metrics.METRICS` describes the numbers."""

    n: int
    accuracy: float
    loss: float
    balanced_accuracy: float
    macro_f1: float
    recall: dict[str, float | None]  # by class; None for a class without images
    calibration_error: float
    confusion: list[list[int]]  # rows are true classes, columns predicted ones
    reliability: list[ReliabilityBin]


class Temperature(Frozen):
    """Temperature scaling, fitted on validation images that chose no epoch. Errors and losses are on test images."""

    temperature: float
    at_bound: bool  # the validation split holds too few errors to fit it
    calibration_error_before: float
    calibration_error_after: float
    loss_before: float
    loss_after: float


class Overfitting(Frozen):
    """When the training of one seed began to overfit, and how far it went.

    Both gaps are accuracy - validation accuracy as logged: the training accuracy is a running mean over the epoch,
    with augmentation and dropout on.
    """

    epochs: int  # trained, with those that a return to the best epoch discarded
    best_epoch: int  # lowest validation loss, the first of equals; its weights are saved unless the length is fixed
    validation_loss_rise: float  # last minus lowest, nats
    gap_at_best_epoch: float
    gap_at_last_epoch: float


class SeedEvaluation(Overfitting):
    """One seed of a variant; the test lists are in the order of its predictions."""

    seed: int
    at_cap: bool = False  # the validation loss still improved when the number of epochs ended the training
    splits: dict[str, SplitMetrics]  # train, validation, test
    generalisation_gap: float  # accuracy on training images less that on the images of `gap_split`, of the saved model
    temperature: Temperature
    test_members: list[str]  # archive members of the test images
    test_groups: list[int]  # equal for copies of one image, or images of one scene
    test_labels: list[int]
    test_predicted: list[int]  # from the probabilities in full precision
    test_probabilities: list[list[float]]  # rounded to 6 digits, for readers
    seconds_training: float
    images_per_second: float
    members: list[int] = []  # of an ensemble, the seeds that it joins


class HistoryRow(Frozen):
    """One epoch of one seed, as logged while training."""

    seed: int
    epoch: int  # from 1
    accuracy: float
    loss: float
    validation_accuracy: float
    validation_loss: float
    learning_rate: float


class Seconds(Frozen):
    """Measured seconds: of all seeds, and of the backbone's features where the variant uses them."""

    training: float
    features: float | None


class Evaluation(Frozen):
    """One variant on one dataset."""

    dataset: str
    variant: str
    kind: ImageKind
    classes: list[str]
    image_size: tuple[int, int]  # height, width in pixels
    counts: dict[str, int]  # images by split
    backbone: str | None
    split: SplitKind
    gap_split: Literal["validation", "test"] = "validation"  # test where the validation images choose the epoch
    recipe: dict[str, Any]  # the settings of the run
    parameters: int
    trainable_parameters: int
    model_bytes: int
    seeds: list[SeedEvaluation]
    history: list[HistoryRow]
    seconds: Seconds
    machine: dict[str, str | int | float | None]
    versions: dict[str, str]

    @property
    def own_splits(self) -> bool:
        """Every seed has its own split."""
        return self.split != "fixed"

    @property
    def rendered(self) -> bool:
        """The images are rendered, not photographed."""
        return self.kind == "rendered"


class TrivialScores(Frozen):
    """A model that needs no network."""

    name: str
    train_images: int
    penalty: float | None  # C of the logistic regression; None also where it differs between seeds
    splits: dict[str, SplitMetrics]  # validation, test


class TrivialModel(TrivialScores):
    """Its scores, and the predicted class of every test image; with own splits the scores are over all seeds."""

    test_predictions: list[list[int]]  # once, or for each seed in ascending order where each has its own split


class Suspect(Frozen):
    """An image whose label is most likely wrong."""

    file: str  # as the arrays name it
    split: str
    given: str
    suggested: str
    probability_given: float
    probability_suggested: float
    row: dict[str, str]  # of a label table, with the suggested label


class Pair(Frozen):
    """Two copies of one image under two labels."""

    files: list[str]  # as the arrays name them
    labels: list[str]
    used: bool  # both are in the arrays


class LabelCheck(Frozen):
    """The labels of one dataset."""

    dataset: str
    unknown: str  # why no model judged the images; empty if one did
    images: int  # judged
    folds_accuracy: float | None  # share of given labels that the models predict
    suspects: list[Suspect]  # the most certain first
    columns: list[str]  # of the label table
    two_labels: list[Pair]


def read_evaluation(path: Path) -> Evaluation:
    """Read what the evaluate stage wrote.

    Raises:
        UserError: the file is missing, or another version of the program wrote it.
    """
    return read_as(Evaluation, path)


def read_trivial(path: Path) -> list[TrivialModel]:
    """Read what the trivial stage wrote; raises as `read_evaluation` does."""
    return read_as(list[TrivialModel], path)


def read_label_check(folder: Path) -> LabelCheck | None:
    """Read what the evaluate stage wrote for a dataset, if it checked the labels; raises as `read_evaluation` does."""
    path = folder / CHECK
    return read_as(LabelCheck, path) if path.exists() else None


def read_as(form: type[T], path: Path) -> T:
    """Read JSON from `path` as a `form`.

    Raises:
        UserError: the file is missing, or its fields are others.
    """
    try:
        return TypeAdapter(form).validate_python(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{path} does not fit this version ({key}: {first['msg']}); run `dvc repro`") from None
