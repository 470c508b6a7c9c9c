"""The time that a backbone takes on this machine, measured on a few images."""

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor

from convnet.params.backbone import Backbone
from convnet.system.processes import stay_with_parent

IMAGES = 20


def measure_features(backbone: Backbone, side: int, threads: int) -> float:
    """Return the seconds in which a network of keras.applications computes the features of 20 images.

    Its weights are random, because they do not change the time. A first pass, which compiles, does not count. The
    number of threads holds for a whole process, so this one has a process of its own.

    Args:
        backbone: its entry in params.yaml.
        side: of the images, in pixels.
        threads: processor threads.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, initializer=stay_with_parent) as pool:
        return pool.submit(_measure, backbone, side, threads).result()


def _measure(backbone: Backbone, side: int, threads: int) -> float:
    # Imported late, because these cost seconds. The device comes first: it sets up the libraries that follow.
    from convnet.backend.device import configure_device

    configure_device(threads=threads, precision="float32")
    import keras
    import numpy as np

    from convnet.models.applications import with_random_weights
    from convnet.models.backbones import find_layer

    whole = with_random_weights(backbone.architecture, backbone.alpha, (side, side))
    used = keras.Model(whole.input, find_layer(whole, backbone.last_layer, "last_layer").output)
    images = np.random.default_rng(0).uniform(-1.0, 1.0, (IMAGES, side, side, 3)).astype(np.float32)
    used.predict_on_batch(images)
    start = time.perf_counter()
    used.predict_on_batch(images)
    return time.perf_counter() - start
