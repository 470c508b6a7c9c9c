"""The saved model of a job, and its facts."""

import math
from pathlib import Path
from typing import Any

import keras

from convnet.models.transfer import weights_digest, without_training
from convnet.system.files import atomic_path, file_digest
from convnet.training.networks import Networks


def save_model(path: Path, networks: Networks) -> dict[str, Any]:
    """Write the classifier without optimizer and loss; return the facts about it."""
    classifier = without_training(networks.classifier)
    size = sum(keras.ops.convert_to_numpy(variable).nbytes for variable in classifier.variables)
    with atomic_path(path, size) as temporary:  # reports a full disk
        classifier.save(temporary)
    return {
        "parameters": int(classifier.count_params()),
        "trainable_parameters": sum(math.prod(v.shape) for v in networks.trainee.trainable_variables),
        "weights_digest": weights_digest(classifier),
        "model_bytes": path.stat().st_size,
        "model_sha256": file_digest(path),
    }
