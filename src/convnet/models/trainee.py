"""The form in which a network trains: the same weights, the same numbers, in less time."""

import itertools
from collections.abc import Callable
from typing import Any

import keras
from keras import layers, ops

from convnet.backend.gradients import shorten
from convnet.backend.normalisation import normalise
from convnet.backend.xla import is_tensorflow_on_cpu

RELU, LINEAR = keras.activations.relu, keras.activations.linear


def make_trainee(classifier: keras.Model) -> keras.Model:
    """Return a model with the layers of `classifier`, which computes the same outputs and gradients.

    They are the same bit by bit, and up to rounding behind batch normalisation, which is one operation here.

    Max-pooling comes before its relu. Relu is monotonic, so both orders give the same maps and the same gradients. The
    relu then has a quarter of the numbers; TensorFlow's gradient of a bfloat16 relu uses no vector instructions. The
    weights of dense layers get their gradients in bfloat16 where the layer computes in it. The optimizer casts them as
    it reads them, which saves one pass over memory.

    Args:
        classifier: a built model; models inside it are treated alike.
    """
    uses = [tensor for layer in classifier.layers for tensor in _inputs(layer)]
    replaced: dict[int, Callable[[Any], Any]] = {}
    for layer, pool in itertools.permutations(classifier.layers, 2):
        if getattr(layer, "activation", None) is not RELU or type(pool) is not layers.MaxPooling2D:
            continue
        if pool.input is layer.output and sum(tensor is layer.output for tensor in uses) == 1:
            replaced |= {id(layer): _WithoutActivation, id(pool): _WithRelu}
    for layer in classifier.layers:
        if isinstance(layer, keras.Model):
            replaced[id(layer)] = make_trainee
        elif type(layer) is layers.Dense and layer.use_bias and layer.compute_dtype == "bfloat16":
            replaced[id(layer)] = _ShortGradient
        elif _can_be_fused(layer):
            replaced[id(layer)] = _FusedNormalisation

    def replace(layer: Any) -> Any:
        make = replaced.get(id(layer))
        return make(layer) if make else layer

    return keras.models.clone_model(classifier, clone_function=replace)


def _can_be_fused(layer: Any) -> bool:
    normalises = type(layer) is layers.BatchNormalization and layer.scale and layer.center
    return normalises and len(layer.output.shape) == 4 and is_tensorflow_on_cpu()


def _inputs(layer: Any) -> list[Any]:
    return [] if isinstance(layer, layers.InputLayer) else keras.tree.flatten(layer.input)


class _Wrapper(layers.Layer):  # type: ignore[misc]  # keras ships no types
    """A layer that computes with the weights of another one."""

    def __init__(self, inner: Any, autocast: bool = True) -> None:
        super().__init__(name=inner.name, dtype=inner.dtype_policy, autocast=autocast)
        self.inner = inner

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self.inner.compute_output_shape(input_shape)


class _WithoutActivation(_Wrapper):
    """The layer before its activation."""

    def call(self, inputs: Any) -> Any:
        self.inner.activation = LINEAR
        try:
            return self.inner.call(inputs)
        finally:
            self.inner.activation = RELU


class _WithRelu(_Wrapper):
    """The layer, then a relu."""

    def call(self, inputs: Any) -> Any:
        return ops.relu(self.inner.call(inputs))


class _FusedNormalisation(_Wrapper):
    """Batch normalisation of the last axis; as in Keras, frozen layers keep their statistics."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        inner = self.inner
        if not (training and inner.trainable):
            return inner.call(inputs, training=training)
        outputs, *found = normalise(inputs, inner.gamma, inner.beta, inner.epsilon)
        for kept, of_batch in zip((inner.moving_mean, inner.moving_variance), found, strict=True):
            kept.assign(inner.momentum * kept + (1.0 - inner.momentum) * of_batch)
        return outputs


class _ShortGradient(_Wrapper):
    """A dense layer whose weights get their gradient in the type in which the layer computes."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner, autocast=False)  # `shorten` casts the weights

    def call(self, inputs: Any) -> Any:
        inner, dtype = self.inner, self.compute_dtype
        values = ops.matmul(ops.cast(inputs, dtype), shorten(inner.kernel, dtype))
        return inner.activation(ops.add(values, ops.cast(inner.bias, dtype)))
