"""Saved models in two halves: a frozen backbone runs once for all models that share it."""

import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import keras

from convnet.inference.loading import load_model_checked
from convnet.jobs.model_files import check_model
from convnet.models.backbones import BACKBONE
from convnet.models.cnn import HEAD
from convnet.models.transfer import weights_digest


@dataclass(frozen=True)
class Halves:
    """A saved model in two; models with the same frozen backbone share the front."""

    front: str | None  # digest of the backbone's weights; None: the back is the whole model
    back: keras.Model


class Loader:
    """Loads saved models and cuts them behind their backbone, if they have one.

    Attributes:
        fronts: the backbones, by the digest of their weights.
    """

    def __init__(self) -> None:
        self.fronts: dict[str, keras.Model] = {}
        self._frames: dict[Path, keras.Model] = {}  # by folder: a model whose own front is not used

    def halve(self, path: Path) -> Halves:
        """Load a model and cut it; keep its front if no other has the same.

        Making a large backbone takes seconds, so the weights of further models in a folder are read into one of them.
        """
        frame = self._frames.get(path.parent)
        if frame is None:
            model, _ = load_model_checked(path)
        else:
            check_model(path)
            _read_weights(frame, path)
            model = frame
        if BACKBONE not in {layer.name for layer in model.layers}:
            return Halves(None, model)
        digest = weights_digest(model.get_layer(BACKBONE))
        if digest in self.fronts:
            self._frames[path.parent] = model
        else:
            if model is frame:  # the next model will be read into it
                model, _ = load_model_checked(path)
            self.fronts[digest] = keras.Model(model.input, model.get_layer("pool").input)
        return Halves(digest, _copy_back(model))


def _read_weights(model: keras.Model, path: Path) -> None:
    """Read saved weights from a file of their own: inside the archive, every seek backwards reads it from its start."""
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(path) as archive:
        model.load_weights(archive.extract("model.weights.h5", folder))


def _copy_back(model: keras.Model) -> keras.Model:
    """Return what comes behind the backbone, with weights of its own."""
    pool, head = model.get_layer("pool"), model.get_layer(HEAD)
    copy = keras.models.clone_model(head)
    copy.set_weights(head.get_weights())
    features = keras.Input(model.get_layer(BACKBONE).output.shape[1:])
    return keras.Model(features, copy(type(pool).from_config(pool.get_config())(features)))
