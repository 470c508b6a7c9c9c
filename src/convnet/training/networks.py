"""The networks of a job."""

import math
import random
from dataclasses import dataclass
from functools import lru_cache

import keras

from convnet.jobs.job import Job, UsedBackbone
from convnet.models.backbones import build_source_classifier, cut, load_backbone, unfreeze_from
from convnet.models.cnn import build_cnn, build_head
from convnet.models.heads import Head
from convnet.models.trainee import make_trainee
from convnet.models.transfer import build_transfer, compute_in, without_training
from convnet.params.recipe import FineTuneRecipe, HeadRecipe, PretrainRecipe
from convnet.training.hooks import Hooks


@dataclass(frozen=True)
class Networks:
    """The model that trains, and the saved one: pixels in, probabilities out. They share their weights."""

    trainee: keras.Model
    classifier: keras.Model


def draw_from(seed: int) -> None:
    """Let what is built next draw its initial weights by `seed`: Keras takes their seeds from Python's generator.

    `keras.utils.set_random_seed` also sets TensorFlow's seed, which no layer reads. Compiled functions are lost then.
    """
    random.seed(seed)


def build_networks(job: Job, head: Head, hooks: Hooks | None = None) -> Networks:
    """Build the networks of a recipe, with what its remedies change."""
    recipe, hooks = job.recipe, hooks or Hooks(job.recipe)
    if isinstance(recipe, HeadRecipe):
        return _transfer_networks(job, recipe, head, dense=not hooks.solver)
    if isinstance(recipe, FineTuneRecipe):
        classifier = keras.saving.load_model(job.start_model, safe_mode=True, compile=False)
        compute_in(classifier, keras.config.dtype_policy())
        unfreeze_from(classifier, recipe.trainable_from, "fine_tune.trainable_from")
    elif isinstance(recipe, PretrainRecipe):
        classifier = build_source_classifier(recipe.image_size, recipe.filters, head.units)
    else:
        classifier = build_cnn(recipe.image_size, recipe.network, recipe.dropout, head, hooks.network())
    return Networks(trainee=make_trainee(classifier), classifier=classifier)


def _transfer_networks(job: Job, recipe: HeadRecipe, head: Head, dense: bool) -> Networks:
    assert job.backbone is not None  # `plan_jobs` gives one to every job of this kind
    _, backbone = cut_backbone(job.backbone, recipe.image_size)
    draw_from(job.seed)  # because making a backbone draws numbers, and a kept one draws none
    shape = backbone.output_shape[1:]
    features = shape[-1] if recipe.pooling == "average" else math.prod(shape)
    top = build_head(features, recipe.dense if dense else None, recipe.dropout, head)
    # Only `top` is compiled to train; the classifier gets its layers without an optimizer.
    classifier = build_transfer(backbone, job.backbone.settings.input_range, recipe.pooling, without_training(top))
    return Networks(make_trainee(top) if recipe.kind == "features" else classifier, classifier)


def cut_backbone(used: UsedBackbone, image_size: tuple[int, int]) -> tuple[keras.Model, keras.Model]:
    """Return the whole pretrained network and its part up to the cut, in float32 like the cached features.

    The jobs of one process share the whole network: making InceptionV3 takes longer than training a head.

    Raises:
        UserError: `last_layer` names no layer, or the weight file does not fit the architecture.
    """
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        whole = load_whole(used, image_size, used.weights.stat().st_mtime_ns)
        return whole, cut(whole, used.last_layer, f"backbones.{used.name}.last_layer")
    finally:
        keras.config.set_dtype_policy(policy)


@lru_cache(maxsize=1)
def load_whole(used: UsedBackbone, image_size: tuple[int, int], changed: int) -> keras.Model:
    """Load a backbone, or return the last one again unless its file was written since, at the time `changed`."""
    keras.backend.clear_session()  # so that its layers have the same numbers in their names in every process
    keras.config.set_dtype_policy("float32")  # clearing resets it
    return load_backbone(used.name, used.settings, used.weights, image_size)
