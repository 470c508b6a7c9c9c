"""Ways to feed one model, from a constant batch to whole arrays on the device. Loads Keras: import it late."""

import time
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from convnet.backend.steps import Steps
from convnet.jobs.job import Job
from convnet.models.augmentation import reset_seed_generators
from convnet.models.heads import choose_head, encode_labels
from convnet.models.transfer import with_augmentation
from convnet.system.progress import progress
from convnet.training.batches import Batches, epoch_order
from convnet.training.epoch import EpochTrainer
from convnet.training.hooks import Hooks
from convnet.training.job_data import load_job_data
from convnet.training.networks import build_networks
from convnet.training.optimizers import compile_model


class OneBatch(keras.utils.PyDataset):  # type: ignore[misc]  # keras ships no types
    """The same batch over and over."""

    def __init__(self, batch: tuple[Any, ...], steps: int) -> None:
        super().__init__()
        self._batch, self._steps = batch, steps

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, number: int) -> tuple[Any, ...]:
        return self._batch


class OnDevice(keras.utils.PyDataset):  # type: ignore[misc]  # keras ships no types
    """Batches gathered on the device from arrays that lie there whole."""

    def __init__(self, rows: Any, targets: Any, order: NDArray[np.int64], batch_size: int) -> None:
        super().__init__()
        self._rows, self._targets, self._order, self._batch_size = rows, targets, order, batch_size

    def __len__(self) -> int:
        return len(self._order) // self._batch_size

    def __getitem__(self, number: int) -> tuple[Any, ...]:
        chosen = self._order[number * self._batch_size : (number + 1) * self._batch_size].astype(np.int32)
        return keras.ops.take(self._rows, chosen, axis=0), keras.ops.take(self._targets, chosen, axis=0)


class Feeder:
    """One model, built and compiled as a job of the program, and the ways to feed it; each gives images/s."""

    def __init__(self, job: Job) -> None:
        keras.utils.set_random_seed(job.seed)
        head = choose_head(len(job.classes), job.recipe.fit.labels)
        self.data = load_job_data(job)
        self.targets = encode_labels(np.repeat(self.data.labels["train"], self.data.views), head)
        self.batch_size = job.recipe.fit.batch_size
        # Whole batches only: equal steps everywhere, and nothing is compiled twice.
        self.steps = len(self.targets) // self.batch_size
        self.model = trainee = build_networks(job, head).trainee
        self._hooks, knobs = Hooks(job.recipe), job.recipe.augmentation
        if knobs and job.recipe.kind != "features":  # Keras' own loop takes augmentation as a layer
            self.model = with_augmentation(trainee, knobs, job.seed)
        for model in (self.model, trainee):
            compile_model(model, job.recipe.fit, head)
            model.optimizer.build(model.trainable_variables)
        self._on_device: tuple[Any, Any] | None = None
        self._trainer = EpochTrainer(trainee, change=self._hooks.change())
        self._stepper = EpochTrainer(trainee, Steps(trainee, self._hooks.change()))

    def warm_up(self, *ways: str) -> None:
        """Go each way once, so that nothing is compiled while the clock runs."""
        for way in ways:
            getattr(self, way)(0)

    def limit(self, repeat: int) -> float:
        """One constant batch: nothing is read, shuffled or converted."""
        chosen = np.arange(self.batch_size)
        batch = (self.data.training[chosen], self.targets[chosen])
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            return self._fit(tf.data.Dataset.from_tensors(batch).repeat(self.steps))
        return self._fit(OneBatch(tuple(map(keras.ops.convert_to_tensor, batch)), self.steps))

    def as_training(self, repeat: int) -> float:
        """As the program trains: rows read from the packed arrays in a new order, several steps at once."""
        return self._epoch(self._trainer, repeat)

    def single_steps(self, repeat: int) -> float:
        """The same with a call of the backend for each step."""
        return self._epoch(self._stepper, repeat)

    def device_arrays(self, repeat: int) -> float:
        """Rows gathered from arrays that lie on the device whole."""
        if self._on_device is None:
            rows = self.data.training[np.arange(len(self.data.training))]
            self._on_device = keras.ops.convert_to_tensor(rows), keras.ops.convert_to_tensor(self.targets)
        return self._fit(OnDevice(*self._on_device, self._order(repeat), self.batch_size))

    def _epoch(self, trainer: EpochTrainer, repeat: int) -> float:
        draws = self._hooks.draws(0, repeat, self.steps * self.batch_size)
        batches = Batches(self.data.training, self._order(repeat), self.batch_size, self.targets, draws=draws)
        reset_seed_generators(self.model, 0, 1)
        ticks = progress(range(self.steps), total=self.steps, label="steps", unit="steps")
        start = time.perf_counter()
        trainer.epoch(batches, lambda: next(ticks, None))
        return self.steps * self.batch_size / (time.perf_counter() - start)

    def _order(self, repeat: int) -> NDArray[np.int64]:
        return np.resize(epoch_order(len(self.targets), 0, repeat), self.steps * self.batch_size)

    def _fit(self, batches: Any) -> float:
        reset_seed_generators(self.model, 0, 1)
        start = time.perf_counter()
        # Its logs are numbers on the host: when it returns, nothing is still running on the device.
        self.model.fit(batches, shuffle=False, verbose=0)
        return self.steps * self.batch_size / (time.perf_counter() - start)
