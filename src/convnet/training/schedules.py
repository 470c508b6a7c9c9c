"""How long a job trains, and the learning rate of each epoch: functions of the settings and the validation losses."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from convnet.params.training import Fit


class NextEpoch(NamedTuple):
    """How an epoch trains.

    Attributes:
        rate: its learning rate.
        from_best: it starts from the weights and the optimizer of the best epoch, not of the epoch before.
    """

    rate: float
    from_best: bool = False


def next_epoch(fit: Fit, losses: Sequence[float]) -> NextEpoch | None:
    """Return how the epoch behind `losses` trains; None where training ends.

    With `length: plateau` the rate is constant until the validation loss has not improved for `patience` epochs.
    Training then returns to the best epoch, and the rate falls evenly to end one step above 0. This cooldown has a
    quarter of the epochs so far (rounded down, at least 1). It starts early enough to end within `fit.epochs`.

    Args:
        fit: how the model is trained.
        losses: the validation loss of every epoch so far, in order of training.

    Source: of the constant rate with a cooldown Zhai et al., "Scaling Vision Transformers", 2022.
    """
    epoch = len(losses) + 1
    if fit.length == "plateau":
        return _on_plateau(fit, losses, epoch)
    stopped = fit.early_stopping is not None and len(losses) - best_epoch(losses) >= fit.early_stopping
    return None if stopped or epoch > fit.epochs else NextEpoch(learning_rate(fit, epoch))


def keeps_best(fit: Fit) -> bool:
    """Return whether the weights of the best epoch count, not those of the last one."""
    return fit.length == "plateau" or fit.early_stopping is not None


def best_epoch(losses: Sequence[float]) -> int:
    """Return the number of the epoch (1-based) with the lowest validation loss, the first of equals; 0 before any."""
    return losses.index(min(losses)) + 1 if losses else 0


def at_cap(fit: Fit, losses: Sequence[float]) -> bool:
    """Return whether the validation loss still improved when the number of epochs ended the training.

    It is False for a fixed length without early stopping, where the number of epochs caps nothing.
    """
    if fit.length == "plateau":
        constant = losses[: _constant_epochs(fit, losses)]
        return len(constant) - best_epoch(constant) < fit.patience
    return fit.early_stopping is not None and len(losses) - best_epoch(losses) < fit.early_stopping


def learning_rate(fit: Fit, epoch: int) -> float:
    """Return the learning rate of an epoch (1-based) of a fixed length: constant, a half cosine, or a cooldown.

    The cosine falls towards 0. A cooldown is constant for three quarters of the epochs and then falls evenly, to end
    one step above 0. A network at a constant rate ends wherever its last step led, which may be 10 points of accuracy
    below the epoch before.

    Source: of the cosine Loshchilov and Hutter, "SGDR", 2017, without restarts.
    """
    if fit.learning_rate_schedule == "constant":
        return fit.learning_rate
    if fit.learning_rate_schedule == "cooldown":
        constant = fit.epochs * 3 // 4
        return fit.learning_rate * min(1.0, _falling(epoch - constant, fit.epochs - constant))
    return fit.learning_rate * 0.5 * (1.0 + math.cos(math.pi * (epoch - 1) / fit.epochs))


def _on_plateau(fit: Fit, losses: Sequence[float], epoch: int) -> NextEpoch | None:
    constant = _constant_epochs(fit, losses)
    if constant is None:
        return NextEpoch(fit.learning_rate)
    cooldown = min(_quarter(constant), fit.epochs - constant)
    if epoch > constant + cooldown:
        return None
    return NextEpoch(fit.learning_rate * _falling(epoch - constant, cooldown), from_best=epoch == constant + 1)


def _constant_epochs(fit: Fit, losses: Sequence[float]) -> int | None:
    """Return after how many epochs the cooldown starts; None if the next epoch still has the constant rate."""
    best = 0
    for epoch, loss in enumerate(losses, start=1):
        if not best or loss < losses[best - 1]:
            best = epoch
        longer = epoch + 1
        if epoch - best >= fit.patience or longer + _quarter(longer) > fit.epochs:
            return epoch
    return None


def _quarter(epochs: int) -> int:
    return max(1, epochs // 4)


def _falling(epoch: int, epochs: int) -> float:
    """Return the share of the learning rate in an epoch (1-based) of a cooldown that has `epochs`."""
    return (epochs + 1 - epoch) / (epochs + 1)
