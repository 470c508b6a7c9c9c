"""Which comparisons go on, and why the others stop."""

import re
from pathlib import Path

import pytest

from comparison.test_verdict import evaluation
from convnet.comparison.schema import Comparison, Verdict
from convnet.comparison.verdict import verdict
from convnet.engine.next_look import Step, seeds_for, steps_of
from helpers import tiny_study as tiny

LOOKS = (3, 5, 10)


def judged(gain: float, seeds: int = 3, n: int = 300, deviation: float = 0.02) -> Verdict:
    made = [
        evaluation(name, accuracy, tuple(range(seeds)), n, seed_deviation=deviation)
        for name, accuracy in (("baseline", 0.6), ("dropout", 0.6 + gain))
    ]
    return verdict(made, looks=LOOKS)


def step(found: Verdict, looks: tuple[int, ...] = LOOKS) -> Step:
    (only,) = steps_of(found, looks)
    return only


def altered(found: Verdict, **changes: object) -> Verdict:
    rows: list[Comparison] = [row.model_copy(update=changes) for row in found.comparisons]
    return found.model_copy(update={"comparisons": rows})


def test_open_comparison_goes_on_to_the_next_look() -> None:
    found = step(judged(0.04, deviation=0.05))
    assert found.look == 5
    assert 0 < found.chance < 1
    assert step(judged(0.04, 5, deviation=0.05)).look == 10


def test_decided_comparison_stops_with_its_look() -> None:
    found = step(judged(0.3))
    assert found.look is None
    assert "helps (+" in found.reason
    assert "decided with 3 seeds" in str(found)


def test_last_look_is_the_end() -> None:
    assert "the last look is over, with 10 seeds" in step(judged(0.01, 10, deviation=0.1)).reason
    assert "the last look is over, with 5 seeds" in step(judged(0.01, 5, deviation=0.1), (3, 5)).reason


def test_images_alone_forbid_a_decision() -> None:
    # All of the error comes from the test images, and the difference is half of what they can show.
    found = judged(0.04, n=40)
    width = found.comparisons[0].interval.upper - found.comparisons[0].interval.lower
    middle = width / 8 + 0.02
    interval = type(found.comparisons[0].interval)(middle - width / 2, middle + width / 2)
    stopped = step(altered(found, seed_share=0.0, interval=interval, mean=middle))
    assert stopped.look is None
    row = found.comparisons[0]
    assert row.needed is not None
    assert row.needed.test_images is not None
    words = re.search(r"seeds cannot decide it; about ([\d,]+) test images would \(run.split: folds", stopped.reason)
    assert words is not None
    rounded = int(words[1].replace(",", ""))
    assert row.needed.test_images <= rounded < 1.1 * row.needed.test_images


def test_hopeless_comparison_stops() -> None:
    # With very many seeds it would be decided, but not with ten.
    found = judged(0.0, 5, n=1000)
    wide = type(found.comparisons[0].interval)(-0.5, 0.5)
    stopped = step(altered(found, mean=0.0, interval=wide, standard_error=0.18, seed_share=0.999999))
    assert stopped.look is None
    assert "the chance at 10 seeds is below 5 %" in stopped.reason


@pytest.mark.parametrize("variant", ["dropout", "fine_tune"])
def test_partner_and_start_keep_up(tmp_path: Path, variant: str) -> None:
    params = tiny.params(tmp_path, {"run.pixel_variants": ["baseline", "dropout"]})
    found = step(judged(0.04, deviation=0.05))
    row = found.row.model_copy(update={"variant": variant, "baseline": "baseline"})
    needed = seeds_for(params, [Step("tiny", row, 5, 0.5, ""), Step("tiny", row, None, 0.0, "decided")])
    names = {variant, "baseline"} | ({"transfer"} if variant == "fine_tune" else set())
    assert needed == {("tiny", name): 5 for name in names}


def test_look_of_an_ensemble_needs_all_seeds_of_its_groups(tmp_path: Path) -> None:
    run = {"run.pixel_variants": ["baseline", "ensemble"], "run.seeds": [0, 1, 2]}
    params = tiny.params(tmp_path, {**tiny.PIXELS_ONLY, **run})
    row = judged(0.04, deviation=0.05).comparisons[0].model_copy(update={"variant": "ensemble"})
    assert seeds_for(params, [Step("tiny", row, 5, 0.5, "")]) == {("tiny", "baseline"): 10}
