"""Saved models loaded safely, and the probabilities they give."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convnet.evaluation.calibration import apply_temperature, fit_temperature
from convnet.jobs.model_files import ModelFacts, check_model
from convnet.jobs.predictions import Prediction, calibration_part, load_predictions
from convnet.models.heads import as_probabilities
from convnet.system.errors import UserError

if TYPE_CHECKING:
    import keras

USUAL_SHARE = 0.99  # of the validation images


def load_model_checked(path: Path) -> tuple["keras.Model", ModelFacts]:
    """Load a saved model that `check_model` accepts; Keras is imported after the check.

    For equal bits, call `convnet.backend.device.configure_device` with the threads of `check_model` before.

    Raises:
        UserError: the file is refused, or does not fit the job.json beside it.
    """
    facts = check_model(path)
    import keras

    try:
        model = keras.saving.load_model(path, safe_mode=True, compile=False)
        shape, units = model.input_shape, model.output_shape[-1]
    except Exception as error:  # Keras raises nearly every exception on a file that it did not write
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path} cannot be loaded ({reason}); run `dvc repro` to train it again") from error
    classes = len(facts.classes)
    if shape != (None, *facts.image_size, 3) or units not in ({1, 2} if classes == 2 else {classes}):
        raise UserError(f"{path} does not fit job.json beside it (images {shape}, outputs {units}); run `dvc repro`")
    return model, facts


def predict_probabilities(
    model: Any, images: NDArray[np.uint8], temperature: float | None = None
) -> NDArray[np.floating[Any]]:
    """Return one probability per class and image, (n, classes).

    Args:
        model: from `load_model_checked`.
        images: uint8 (n, height, width, 3), as `convnet.data.decoding.load_image` gives them.
        temperature: from `fitted_temperature`, or None for the model's own probabilities.
    """
    from convnet.training.batches import all_rows, predict

    probabilities = as_probabilities(predict(model, all_rows(images)))
    return probabilities if temperature is None else apply_temperature(probabilities, temperature)


def fitted_temperature(facts: ModelFacts) -> float:
    """Return the temperature that fits the model's confidence to its validation images.

    Raises:
        UserError: predictions.npz is not beside the model, or holds no validation predictions of this seed.
    """
    validation = _validation(facts)
    if validation is None:
        raise UserError(f"{facts.predictions} holds no validation predictions of seed {facts.seed}; run `dvc repro`")
    return fit_temperature(validation.probabilities, validation.labels)


def least_confidence(facts: ModelFacts, temperature: float | None) -> float | None:
    """Return the largest probability that `USUAL_SHARE` of the validation images reach; None without predictions.

    Args:
        facts: of the model.
        temperature: as for the images that are compared.
    """
    validation = _validation(facts) if facts.predictions.is_file() else None
    if validation is None or not len(validation.labels):
        return None
    probabilities: NDArray[np.floating[Any]] = validation.probabilities
    if temperature is not None:
        probabilities = apply_temperature(probabilities, temperature)
    return float(np.quantile(probabilities.max(axis=1), 1 - USUAL_SHARE, method="lower"))


def _validation(facts: ModelFacts) -> Prediction | None:
    splits = load_predictions(facts.predictions).get(facts.seed, {})
    return calibration_part(splits) if "validation" in splits else None
