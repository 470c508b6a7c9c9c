"""The remedies of one recipe, and their hooks in the order in which training calls them."""

import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from convnet import remedies as package
from convnet.backend.xla import fuse
from convnet.models.cnn import Parts
from convnet.models.heads import Head
from convnet.params.recipe import Recipe
from convnet.params.remedies import Batch, Remedy, find_remedies
from convnet.params.section import Labels, Section

AUGMENTATION = "augmentation"  # its knobs are those of the recipe


class Hooks:
    """The remedies of a recipe.

    Attributes:
        mixes: labels of images are mixed, so that the loss of a training step is not one of the plain task.
    """

    def __init__(self, recipe: Recipe) -> None:
        """Take the remedies that act on what the recipe trains."""
        assert package.__path__  # the folder whose modules `find_remedies` imports
        settings = {name: _settings(name, given) for name, given in recipe.remedies.items()}
        if recipe.augmentation and recipe.kind != "features":  # cached features have cached views
            settings = {AUGMENTATION: recipe.augmentation} | settings
        self._active = [(name, find_remedies()[name], section) for name, section in settings.items()]
        self.mixes = any(remedy.mixes for _, remedy, _ in self._active)
        # What mixes images comes last: it takes them as the others leave them.
        self._on_batches = sorted((a for a in self._active if a[1].batch), key=lambda active: active[1].mixes)

    def labels(self, labels: Labels) -> Labels:
        """Return the form of the labels: one-hot where a remedy changes them, which gives the same loss."""
        return "one_hot" if self.mixes or any(remedy.loss for _, remedy, _ in self._active) else labels

    def network(self) -> Parts:
        """Return the parts of the CNN."""
        parts = Parts()
        for _, remedy, settings in self._active:
            parts = remedy.network(settings, parts) if remedy.network else parts
        return parts

    @property
    def layers(self) -> list[str]:
        """The beginnings of the names of the layers that remedies add."""
        return [name for name, remedy, _ in self._active if remedy.network]

    def loss(self, head: Head, model: keras.Model) -> Any:
        """Return the loss to train on: a name, or what a remedy makes of it."""
        loss: Any = head.loss
        for _, remedy, settings in self._active:
            loss = remedy.loss(settings, loss, model) if remedy.loss else loss
        return loss

    @property
    def changes_loss(self) -> bool:
        """Whether training has another loss than the plain task."""
        return any(remedy.loss for _, remedy, _ in self._active)

    @property
    def changes_optimizer(self) -> bool:
        """Whether a remedy changes the optimizer."""
        return any(remedy.optimizer for _, remedy, _ in self._active)

    def change_optimizer(self, model: keras.Model, steps: int) -> None:
        """Change the optimizer of a compiled model that trains for `steps`, and build it."""
        optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)  # Keras wraps it under mixed_float16
        for _, remedy, settings in self._active:
            if remedy.optimizer:
                remedy.optimizer(settings, optimizer, model, steps)
        model.optimizer.build(model.trainable_variables)

    @property
    def solver(self) -> Any:
        """What computes the output layer of a head in place of training, or None."""
        found = (partial(remedy.solve, settings) for _, remedy, settings in self._active if remedy.solve)
        return next(found, None)

    @contextmanager
    def evaluated(self, model: keras.Model) -> Iterator[None]:
        """Give the model, for a while, the weights that are measured and saved."""
        with ExitStack() as stack:
            for _, remedy, settings in self._active:
                if remedy.evaluated:
                    stack.enter_context(remedy.evaluated(settings, model))
            yield

    def draws(self, seed: int, epoch: int, images: int) -> list[NDArray[np.float32]]:
        """Return the random numbers of an epoch, each (images, count).

        Every remedy has a generator of its own by (seed, epoch, name), so that none changes the draws of another.
        """
        found = []
        for name, remedy, settings in self._on_batches:
            assert remedy.draws is not None
            generator = np.random.default_rng([seed, epoch, zlib.crc32(name.encode())])
            found.append(remedy.draws(settings, generator, images))
        return found

    def change(self) -> Any:
        """Return what changes the parts of a batch in the step: images, labels, maybe weights, and the draws."""
        return fuse(partial(_change, self._on_batches)) if self._on_batches else tuple


def _settings(name: str, given: dict[str, Any]) -> Section:
    section = find_remedies()[name].settings
    assert section is not None  # a recipe names no other remedies
    return section(**given)


def _change(active: list[tuple[str, Remedy, Section]], parts: tuple[Any, ...]) -> tuple[Any, ...]:
    given, draws = parts[: -len(active)], parts[-len(active) :]
    batch = Batch(ops.cast(given[0], "float32"), given[1], given[2] if len(given) > 2 else None)
    for (_, remedy, settings), numbers in zip(active, draws, strict=True):
        assert remedy.batch is not None
        batch = remedy.batch(settings, batch, numbers)
    return tuple(part for part in batch if part is not None)
