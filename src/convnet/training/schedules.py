"""The learning rate of an epoch."""

import math

from convnet.params.schema import Fit


def learning_rate(fit: Fit, epoch: int) -> float:
    """Return the learning rate of an epoch (1-based): constant, a half cosine that falls towards 0, or a cooldown.

    A cooldown is constant for three quarters of the epochs and then falls evenly, to end one step above 0: a network
    at a constant rate ends wherever its last step led, which may be 10 points of accuracy below the epoch before.

    Sources: of the cosine Loshchilov and Hutter, "SGDR", 2017, without restarts; of the cooldown Zhai et al., "Scaling
    Vision Transformers", 2022.
    """
    if fit.learning_rate_schedule == "constant":
        return fit.learning_rate
    if fit.learning_rate_schedule == "cooldown":
        constant = fit.epochs * 3 // 4
        return fit.learning_rate * min(1.0, (fit.epochs + 1 - epoch) / (fit.epochs + 1 - constant))
    return fit.learning_rate * 0.5 * (1.0 + math.cos(math.pi * (epoch - 1) / fit.epochs))
