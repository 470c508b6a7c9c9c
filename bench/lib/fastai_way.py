"""fastai's recommended way of today: ImageDataLoaders, batch transforms, Learner, fit. Runs in a Python of its own.

That Python has fastai and torch and nothing of this project, so this module imports no other. `python -m
bench.lib.fastai_way` writes its versions, reads one plan per line, and answers each with seconds and accuracy, as JSON.
"""

import json
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple


class Plan(NamedTuple):
    """What is trained, as words and numbers that JSON holds.

    Attributes:
        files: folder with `train` and `validation`, each with a folder per class.
        image_size: (height, width).
        augmented: with random flips, rotations, zooms and warps.
        filters: of the convolutions.
        dense: units of the hidden layer.
    """

    files: str
    image_size: list[int]
    augmented: bool
    filters: list[int]
    dense: int
    learning_rate: float
    batch_size: int
    epochs: int
    seed: int


def load() -> dict[str, str]:
    """Import fastai and return the versions of it and of torch."""
    import torch

    try:
        import torchvision
    except RuntimeError:
        # The package index has torchvision built for CUDA alone. Its compiled operators do not load beside torch for
        # the CPU, and its import fails at these two. fastai calls none of them: the names are enough.
        for name in ("nms", "qnms"):
            torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision  # noqa: F401
    import fastai
    import fastai.vision.all

    return {"fastai": fastai.__version__, "torch": torch.__version__}


def train_fastai(plan: Plan) -> dict[str, float]:
    """Train as fastai's guides do, in float32, and export the model."""
    from fastai.vision import all as vision

    vision.set_seed(plan.seed)
    start = time.perf_counter()
    # The course shifts and shears too. aug_transforms does neither: a zoom has a random centre, a warp is near a shear.
    moves = vision.aug_transforms(
        max_rotate=40.0, min_zoom=0.8, max_zoom=1.2, max_warp=0.2, max_lighting=0.0, p_affine=1.0,
        pad_mode=vision.PadMode.Border,
    )  # fmt: skip
    images = vision.ImageDataLoaders.from_folder(
        plan.files, train="train", valid="validation", bs=plan.batch_size,
        item_tfms=vision.Resize(tuple(plan.image_size), method=vision.ResizeMethod.Squish),
        batch_tfms=moves if plan.augmented else None,
    )  # fmt: skip
    learner = vision.Learner(
        images, _small_cnn(plan, images.c), lr=plan.learning_rate, metrics=vision.accuracy,
        opt_func=partial(vision.RMSProp, sqr_mom=0.9), path=Path(plan.files).parent,  # 0.9 as in Keras
    )  # fmt: skip
    began = time.perf_counter()
    with learner.no_bar(), learner.no_logging():
        learner.fit(plan.epochs)
    in_epochs = time.perf_counter() - began
    learner.export("fastai.pkl")
    accuracy = float(learner.recorder.values[-1][-1])
    return {"seconds": time.perf_counter() - start, "accuracy": accuracy, "in_epochs": in_epochs}


def _small_cnn(plan: Plan, classes: int) -> Any:
    from torch import nn

    layers: list[Any] = []
    channels, (height, width) = 3, plan.image_size
    for filters in plan.filters:
        layers += [nn.Conv2d(channels, filters, 3), nn.ReLU(), nn.MaxPool2d(2)]
        channels, height, width = filters, (height - 2) // 2, (width - 2) // 2
    top = [nn.Flatten(), nn.Linear(channels * height * width, plan.dense), nn.ReLU(), nn.Linear(plan.dense, classes)]
    return nn.Sequential(*layers, *top)


def main() -> None:
    """Answer plans until the input ends."""
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1) as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what fastai prints is no answer
        print(json.dumps(load()), file=answers)
        for line in sys.stdin:
            print(json.dumps(train_fastai(Plan(**json.loads(line)))), file=answers)


if __name__ == "__main__":
    main()
