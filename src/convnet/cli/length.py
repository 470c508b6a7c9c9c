"""How long variants train on a user's own images, as `convnet init` writes it into params.yaml."""

from collections.abc import Mapping
from typing import Any

from convnet.params.schema import Params
from convnet.system.errors import UserError

CAP = 100  # epochs; augmented networks still improve at 60
# On cats_vs_dogs an augmented network pauses for up to 14 epochs before it improves again; docs/method.md.
PATIENCE = 20
COURSE_EPOCHS = 15
SECTIONS = ("training", "transfer", "fine_tune")


def with_length(entry: Mapping[str, Any], params: Params, course: bool) -> dict[str, Any]:
    """Return a dataset's entry with the length of the training: a plateau, or the course's number of epochs.

    A section whose common settings have a rate schedule or early stopping keeps these.
    """
    if course:
        course_training = {**entry.get("training", {}), "epochs": COURSE_EPOCHS}
        return {**entry, "recipe": "course", "training": course_training}
    plateau = {"length": "plateau", "epochs": CAP, "patience": PATIENCE}
    changed = {name: {**entry.get(name, {}), **plateau} for name in SECTIONS if _decides_nothing(params, name)}
    return {**entry, **changed}


def length_reason(entry: Mapping[str, Any]) -> str:
    """Return the line that `convnet init` prints about the length in a dataset's entry."""
    if "recipe" in entry:
        return f"recipe course: fixed numbers of epochs, {COURSE_EPOCHS} for variants that train on pixels"
    if any(entry[name].get("length") == "plateau" for name in SECTIONS):
        return f"length plateau: until the validation loss has not improved for {PATIENCE} epochs, at most {CAP} epochs"
    return "length: as in the common settings, which have a rate schedule or early stopping"


def check_course(name: str, params: Params, course: bool) -> None:
    """Reject --course for a dataset whose entry in params.yaml has another recipe.

    Raises:
        UserError: the entry would have to change.
    """
    if course and name in params.datasets and params.datasets[name].recipe != "course":
        raise UserError(
            f"--course would change datasets.{name}, which is in params.yaml already: set its `recipe` to course "
            "there, and run the command without --course"
        )


def _decides_nothing(params: Params, section: str) -> bool:
    fit = getattr(params, section)
    return fit.learning_rate_schedule == "constant" and fit.early_stopping is None
