"""The remedy cosine_decay: named where the schedule differs from the baseline's, and refused with a plateau."""

from pathlib import Path

import pytest

from convnet.params.recipe import resolve
from convnet.params.remedies import used_remedies
from convnet.params.schema import Params
from convnet.system.errors import UserError
from convnet.training.schedules import learning_rate
from helpers import tiny_study as tiny

RUN = {"run.pixel_variants": ["baseline", "cosine_decay"]}


def names(params: Params, variant: str) -> list[str]:
    recipes = (resolve(params, "tiny", name).model_dump() for name in (variant, "baseline"))
    return [found["name"] for found in used_remedies(*recipes)]


def test_it_is_named_where_the_schedule_differs_from_the_baseline(tmp_path: Path) -> None:
    params = tiny.params(tmp_path, RUN)
    assert names(params, "cosine_decay") == ["cosine_decay"]
    assert names(params, "baseline") == []


def test_rate_falls_to_zero(tmp_path: Path) -> None:
    fit = resolve(tiny.params(tmp_path, RUN | {"training.epochs": 20}), "tiny", "cosine_decay").fit
    rates = [learning_rate(fit, epoch) for epoch in range(1, 21)]
    assert rates == sorted(rates, reverse=True)
    assert 0.0 < rates[-1] < 0.01 * rates[0]


def test_plateau_refuses_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cosine"):
        resolve(tiny.params(tmp_path, RUN | {"training.length": "plateau"}), "tiny", "cosine_decay")
