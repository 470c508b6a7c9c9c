"""The verdict on small studies whose outcome is known, and its words: comparison and sentences are reached by it."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convnet.comparison.cautions import with_words
from convnet.comparison.paired import compare
from convnet.comparison.power import estimate_of
from convnet.comparison.random_effects import crossed_estimate
from convnet.comparison.schema import Comparison, Verdict, read_verdicts
from convnet.comparison.statistics import holm
from convnet.comparison.verdict import verdict
from convnet.comparison.wording import headline, opening_sentences, pair_sentences
from convnet.evaluation.metrics import evaluate_split
from convnet.evaluation.schema import Evaluation, TrivialModel
from convnet.system.errors import UserError
from convnet.system.files import write_json
from convnet.system.formats import points
from helpers.evaluations import make_evaluation

ROOT = Path(__file__).parents[2]
CLASSES = ["cat", "dog"]


def evaluation(
    variant: str,
    accuracy: float,
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4),
    n: int = 300,
    *,
    minority: float = 0.5,
    seed_deviation: float = 0.02,
    split: str = "fixed",
    dataset: str = "pets",
    kind: str = "photographs",
) -> Evaluation:
    """An evaluation whose images differ in difficulty, which all variants share."""
    made = make_evaluation(dataset, variant, len(seeds), classes=CLASSES, kind=kind)
    for seed, run in zip(seeds, made["seeds"], strict=True):
        draw = np.random.default_rng([seed, sum(map(ord, variant))])
        # With a fixed split the images belong to the dataset; otherwise they are the seed's own.
        members = np.arange(n)
        if split == "resplit":
            members = np.random.default_rng(seed).permutation(3 * n)[:n]
        elif split == "folds":
            members = np.random.default_rng(0).permutation(len(seeds) * n)[seeds.index(seed) * n :][:n]
        difficulty = np.random.default_rng(99).random(5 * n)[members]
        labels = (members % 100 < 100 * minority).astype(int)
        right = 0.7 * difficulty + 0.3 * draw.random(n) < accuracy + seed_deviation * draw.standard_normal()
        predicted = np.where(right, labels, 1 - labels)
        probabilities = np.full((n, 2), 0.2)
        probabilities[np.arange(n), predicted] = 0.8
        run |= {
            "seed": seed,
            "splits": dict.fromkeys(("train", "validation", "test"), evaluate_split(probabilities, labels, CLASSES)),
            "generalisation_gap": 0.1 - (accuracy - 0.6) / 2,
            "test_members": [f"{i}.png" for i in members],
            "test_groups": members.tolist(),
            "test_labels": labels.tolist(),
            "test_predicted": predicted.tolist(),
            "test_probabilities": probabilities.tolist(),
        }
    return Evaluation.model_validate(made | {"split": split})


def changed(evaluation: Evaluation, seed: int, **fields: Any) -> Evaluation:
    """The evaluation with other fields in its `seed`-th run."""
    runs = list(evaluation.seeds)
    runs[seed] = runs[seed].model_copy(update=fields)
    return evaluation.model_copy(update={"seeds": runs})


def row(found: Verdict, variant: str) -> Comparison:
    """The comparison of one variant."""
    return next(r for r in found.comparisons if r.variant == variant)


def test_clear_gain_helps_clear_loss_hurts_and_a_twin_is_not_decided():
    found = verdict([evaluation(*v) for v in [("baseline", 0.6), ("up", 0.75), ("down", 0.45), ("twin", 0.605)]])
    assert {r.variant: r.decision for r in found.comparisons} == {
        "up": "helps",
        "down": "hurts",
        "twin": "not decided",
    }
    assert [r.variant for r in found.variants] == ["baseline", "down", "twin", "up"]
    assert found.warnings == []
    json.dumps(found.model_dump(), allow_nan=False)


def test_numbers_of_a_comparison_agree_with_the_evaluations():
    baseline, variant = evaluation("baseline", 0.6), evaluation("up", 0.7)
    found = row(verdict([baseline, variant]), "up")
    for name in ("accuracy", "balanced_accuracy", "loss"):
        expected = [
            getattr(b.splits["test"], name) - getattr(a.splits["test"], name)
            for a, b in zip(baseline.seeds, variant.seeds, strict=True)
        ]
        assert found.metrics[name].differences == pytest.approx(expected)
        assert found.metrics[name].mean == pytest.approx(np.mean(expected))
    assert found.metrics["generalisation_gap"].mean == pytest.approx(-0.05)
    assert found.mean == pytest.approx(found.metrics["accuracy"].mean)


def test_interval_and_holm_are_those_of_the_library():
    evaluations = [evaluation(*v) for v in [("baseline", 0.6), ("a", 0.63), ("b", 0.66), ("c", 0.6)]]
    found = verdict(evaluations)
    estimates = [compare(evaluations[0], other, "accuracy").estimate for other in evaluations[1:]]
    assert [r.p_holm for r in found.comparisons] == pytest.approx(holm([e.p_value() for e in estimates]))
    assert [tuple(r.interval) for r in found.comparisons] == [pytest.approx(e.interval()) for e in estimates]


def test_order_of_evaluations_does_not_matter():
    evaluations = [evaluation(*v) for v in [("baseline", 0.6), ("up", 0.75), ("down", 0.45)]]
    assert verdict(evaluations) == verdict(evaluations[::-1])


def test_sentence_holds_the_numbers():
    found = verdict([evaluation(v, a, kind="rendered") for v, a in [("baseline", 0.6), ("up", 0.75)]])
    up = row(found, "up")
    lower, upper = (points(bound) for bound in up.interval)
    assert up.sentence == (
        f"up helps: test accuracy changes by {points(up.mean)} points (95 % interval {lower} to {upper} over seeds "
        "and test images; p < 0.001; 5 seeds, 300 test images, rendered images)."
    )


def test_open_comparison_says_what_would_decide_it():
    found = verdict([evaluation(*v, seeds=(0, 1, 2)) for v in [("baseline", 0.6), ("twin", 0.62)]])
    twin = row(found, "twin")
    assert twin.decision == "not decided"
    assert twin.needed is not None
    assert twin.sentence.startswith("It is not decided whether twin helps: test accuracy changes by ")
    plan = twin.sentence.split(").")[1]
    assert re.search(r"more seeds? would decide it with a probability of|about [\d,]+ test images|probably not", plan)
    assert "rendered" not in twin.sentence


def test_each_open_comparison_is_planned_as_the_next_to_be_decided():
    evaluations = [evaluation(*v) for v in [("baseline", 0.6), ("up", 0.8), ("a", 0.62), ("b", 0.63)]]
    found = verdict(evaluations)
    assert [r.decision for r in found.comparisons] == ["not decided", "not decided", "helps"]
    # Holm asks 0.05 / 2 of the smaller of two open p-values, and either may become it.
    for other, found_row in zip(evaluations[2:], found.comparisons[:2], strict=True):
        needed = compare(evaluations[0], other, "accuracy").needed(0.025, 0.02)
        assert found_row.needed.model_dump() == pytest.approx(needed.model_dump())


def test_interval_that_loses_its_claim_to_holm_is_explained():
    others = [evaluation(f"twin{i}", 0.6) for i in range(6)]
    for accuracy in np.arange(0.61, 0.70, 0.005):
        found = verdict([evaluation("baseline", 0.6), evaluation("up", accuracy), *others])
        up = row(found, "up")
        if up.p < 0.05 < up.p_holm:
            assert up.decision == "not decided"
            assert "excludes zero, but not after correction for 7 comparisons" in up.sentence
            return
    pytest.fail("no accuracy gave a p between the two levels")


def test_only_the_baseline_is_nothing_to_compare():
    found = verdict([evaluation("baseline", 0.6)])
    assert found.comparisons == []
    assert "only variant" in found.warnings[0]
    assert "nothing to compare" in opening_sentences([found])[0]


def test_missing_baseline_is_said():
    found = verdict([evaluation("up", 0.7), evaluation("down", 0.5)])
    assert found.baseline is None
    assert found.comparisons == []
    assert "variant baseline is missing" in found.warnings[0]


def test_one_seed_decides_nothing_and_says_so():
    found = verdict([evaluation(*v, seeds=(0,)) for v in [("baseline", 0.6), ("up", 0.8), ("twin", 0.601)]])
    up, twin = row(found, "up"), row(found, "twin")
    assert (up.decision, twin.decision) == ("not decided", "not decided")
    assert up.interval_kind == "test images only"
    for compared in (up, twin):
        assert (
            "the randomness of training is not measured, so nothing is decided: train at least 3" in compared.sentence
        )
    assert any("One seed only" in warning for warning in found.warnings)
    assert opening_sentences([found])[0] == "On pets nothing is decided with fewer than 3 seeds."
    assert "up (+" in opening_sentences([found])[1]


def test_missing_seeds_leave_the_shared_ones():
    up, twin = (evaluation(name, 0.75, (1, 2, 3, 4)) for name in ("up", "twin"))
    found = verdict([evaluation("baseline", 0.6, (0, 1, 2, 3)), up, twin])
    assert row(found, "up").seeds == [1, 2, 3]
    assert "Compared on shared seeds only, without the seeds 0, 4: twin, up." in found.warnings


def test_no_shared_seed_is_a_user_error():
    with pytest.raises(UserError, match="no seed in common"):
        verdict([evaluation("baseline", 0.6, (0, 1)), evaluation("up", 0.7, (2, 3))])


def test_other_test_images_are_a_user_error():
    other = evaluation("up", 0.7)
    other = changed(other, 0, test_members=["another.png", *other.seeds[0].test_members[1:]])
    with pytest.raises(UserError, match="different images"):
        verdict([evaluation("baseline", 0.6), other])


def test_fixed_split_with_seeds_on_different_images_is_a_user_error():
    both = [evaluation(v, 0.6, split="resplit").model_copy(update={"split": "fixed"}) for v in ("baseline", "up")]
    with pytest.raises(UserError, match="though the split is fixed"):
        verdict(both)


def test_resplit_seeds_give_an_interval_over_seeds_and_splits():
    found = verdict([evaluation(*v, split="resplit") for v in [("baseline", 0.55), ("up", 0.8), ("twin", 0.551)]])
    up = row(found, "up")
    assert found.split == "resplit"
    assert up.decision == "helps"
    assert up.interval_kind == "seeds and splits"
    assert "300 test images per split" in up.sentence
    assert "own split" in row(found, "twin").sentence


def test_folds_test_every_image_once():
    found = verdict([evaluation(*v, n=100, split="folds") for v in [("baseline", 0.55), ("up", 0.8), ("twin", 0.551)]])
    up, twin = row(found, "up"), row(found, "twin")
    assert (found.n_test, up.n_test, up.n_groups) == (500, 500, 500)
    assert up.decision == "helps"
    assert up.paired
    assert up.interval_kind == "folds and test images"
    assert "over folds and test images" in up.sentence
    assert "5 seeds, 500 test images, each tested once" in up.sentence
    assert 0 <= up.seed_share < 1  # the rest is that of the images
    for compared in (up, twin):  # what power knows of the interval is its width
        lower, upper = compared.interval
        assert 2 * estimate_of(compared).half_width(0.05) == pytest.approx(upper - lower, rel=0.01)
    assert twin.decision == "not decided"


def test_folds_of_unequal_classes_give_balanced_accuracy():
    found = verdict([evaluation(*v, n=100, minority=0.2, split="folds") for v in [("baseline", 0.55), ("up", 0.8)]])
    assert found.metric == "balanced_accuracy"
    up = row(found, "up")
    assert up.mean == pytest.approx(up.metrics["balanced_accuracy"].mean)


def test_folds_beat_the_trivial_model_fold_by_fold():
    evaluations = [evaluation(*v, n=100, split="folds") for v in [("baseline", 0.5), ("up", 0.85)]]
    trivial = trivial_row(0.6, n=100, seeds=5)
    found = verdict(evaluations, trivial=[trivial])
    assert {r.variant: r.trivial.beats for r in found.variants} == {"baseline": False, "up": True}
    short = trivial.model_copy(update={"test_predictions": trivial.test_predictions[:4]})
    with pytest.raises(UserError, match="from the same split"):
        verdict(evaluations, trivial=[short])


def test_variants_with_unlike_splits_are_a_user_error():
    with pytest.raises(UserError, match="have the splits folds and fixed"):
        verdict([evaluation("baseline", 0.6), evaluation("up", 0.8, split="folds")])


def test_unequal_classes_put_balanced_accuracy_first():
    found = verdict([evaluation(*v, minority=0.2) for v in [("baseline", 0.6), ("up", 0.75)]])
    assert found.metric == "balanced_accuracy"
    assert "240 training images of cat, 60 of dog" in found.warnings[0]
    up = row(found, "up")
    assert "test balanced accuracy" in up.sentence
    assert up.mean == pytest.approx(up.metrics["balanced_accuracy"].mean)


def test_slightly_unequal_classes_do_not_warn():
    found = verdict([evaluation(*v, minority=0.42) for v in [("baseline", 0.6), ("up", 0.75)]])
    assert found.metric == "accuracy"
    assert found.warnings == []


def trivial_row(share_right: float, n: int = 300, seeds: int = 1) -> TrivialModel:
    """A trivial model that is right on the first images of the test split."""
    labels = (np.arange(n) % 100 < 50).astype(int)
    predicted = np.where(np.arange(n) < share_right * n, labels, 1 - labels)
    return TrivialModel(
        name="colours and thumbnail",
        train_images=n,
        penalty=1.0,
        splits={"test": evaluate_split(np.eye(2)[predicted], labels, CLASSES)},
        test_predictions=[predicted.tolist()] * seeds,
    )


def test_variant_that_does_not_beat_the_trivial_model_is_called_out():
    evaluations = [evaluation(*v) for v in [("baseline", 0.45), ("close", 0.62), ("up", 0.85)]]
    found = verdict(evaluations, trivial=[trivial_row(0.3), trivial_row(0.6)])
    beats = {r.variant: r.trivial.beats for r in found.variants}
    assert beats == {"baseline": False, "close": False, "up": True}
    trivial = r"the trivial model 'colours and thumbnail' with test accuracy 60\.0 %"
    not_above, unclear = (w for w in found.warnings if "trivial" in w)
    assert re.fullmatch(rf"Not above {trivial}: baseline \(\d\d\.\d %\)\.", not_above)
    assert re.fullmatch(rf"Not clearly above {trivial}: close \(\d\d\.\d %\)\.", unclear)
    assert "test_predictions" not in found.trivial[0].model_dump()


def test_variants_with_one_caution_share_a_sentence():
    capped, free = evaluation("baseline", 0.62), evaluation("close", 0.62)
    seeds = [run.model_copy(update={"at_cap": run.seed == 4}) for run in capped.seeds]
    capped = capped.model_copy(update={"seeds": seeds})
    evaluations = [capped, free, capped.model_copy(update={"variant": "up"})]
    found = verdict(evaluations, trivial=[trivial_row(0.6)])
    (unclear,) = (w for w in found.warnings if "trivial" in w)
    assert re.search(r"baseline \([^)]*\), close \([^)]*\), up \([^)]*\)\.$", unclear)
    words = with_words(found, evaluations, {}).warnings
    assert "Still improving at the cap of epochs: baseline, up; raise `epochs` for the whole dataset." in words


def test_trivial_rows_of_another_split_are_a_user_error():
    with pytest.raises(UserError, match="20 test images"):
        verdict([evaluation("baseline", 0.6)], trivial=[trivial_row(0.5, n=20)])


def test_predicted_classes_count_and_not_rounded_probabilities():
    both = [evaluation("baseline", 0.6), evaluation("up", 0.7)]
    rounded = changed(both[1], 2, test_probabilities=[[0.5, 0.5]] * 300)
    assert verdict([both[0], rounded]) == verdict(both)


@pytest.mark.parametrize(
    ("evaluations", "words"),
    [
        ([], "evaluation to judge is missing"),
        ([evaluation("a", 0.6), evaluation("a", 0.6)], "evaluated twice"),
        ([evaluation("a", 0.6), evaluation("b", 0.6, dataset="horses")], "horses, pets"),
    ],
)
def test_unusable_evaluations_are_a_user_error(evaluations, words):
    with pytest.raises(UserError, match=words):
        verdict(evaluations)


def test_stored_verdict_is_read_back(tmp_path):
    found = {"pets": verdict([evaluation(*v) for v in [("baseline", 0.6), ("up", 0.75)]], [trivial_row(0.6)])}
    write_json(tmp_path / "verdict.json", {name: judged.model_dump() for name, judged in found.items()})
    assert read_verdicts(tmp_path / "verdict.json") == found


def test_report_opens_with_two_sentences_on_all_datasets():
    pets = verdict([evaluation(v, a, kind="rendered") for v, a in [("baseline", 0.6), ("up", 0.75), ("twin", 0.6)]])
    horses = verdict([evaluation(v, a, dataset="horses") for v, a in [("baseline", 0.6), ("down", 0.45)]])
    first, second = opening_sentences([pets, horses])
    assert first.startswith("On pets (rendered images) up helps: test accuracy 6")
    assert first.endswith("; on horses no remedy is shown to help.")
    assert "hurts: down on horses (-" in second.lower()
    assert "not decided: twin on pets (" in second


def test_one_helper_ahead_of_the_others_is_named_with_a_caution():
    found = verdict([evaluation(*v) for v in [("baseline", 0.5), ("best", 0.85), ("good", 0.65), ("fair", 0.65)]])
    assert found.helpers[0] == "best"
    assert found.leader == "best"
    first, second = opening_sentences([found])
    assert re.match(r"On pets best helps and is ahead of (good and fair|fair and good): test accuracy ", first)
    assert "chosen on the same test images, so this gain may be a little too large" in first
    assert second.startswith("Also helps: fair (+")
    assert "most" not in first + second


def test_helpers_that_differ_little_are_named_together():
    found = verdict([evaluation(*v) for v in [("baseline", 0.5), ("a", 0.7), ("b", 0.705)]])
    assert found.leader is None
    assert [(pair.first, pair.second, pair.ahead) for pair in found.pairs] == [(*found.helpers, None)]
    first, second = opening_sentences([found])
    names = " and ".join(found.helpers)
    assert first.startswith(f"On pets {names} help, and none is shown to be ahead of all others: ")
    assert "(95 % interval +" in first
    assert second == "No other remedy was compared."


def test_headline_is_one_sentence_per_dataset_and_pairs_give_its_evidence():
    found = verdict([evaluation(*v) for v in [("baseline", 0.5), ("best", 0.85), ("good", 0.65), ("fair", 0.69)]])
    assert headline(found) == opening_sentences([found])[0]
    assert headline(found).startswith("On pets best helps and is ahead of ")
    sentences = pair_sentences(found)
    assert [sentence.split(":")[0] for sentence in sentences[:2]] == [
        f"best is ahead of {pair.second}" for pair in found.pairs[:2]
    ]
    assert all(points(pair.mean) in sentence for pair, sentence in zip(found.pairs, sentences, strict=True))
    assert re.match(r"It is not decided whether (good or fair|fair or good) is ahead: ", sentences[2])
    assert all("Holm over 3 pairs of helpers" in sentence for sentence in sentences)


def test_without_helpers_there_are_no_pairs():
    found = verdict([evaluation(*v) for v in [("baseline", 0.5), ("twin", 0.5)]])
    assert headline(found) == "On pets no remedy is shown to help."
    assert pair_sentences(found) == []


def test_a_single_helper_carries_no_caution():
    first, _ = opening_sentences([verdict([evaluation(*v) for v in [("baseline", 0.5), ("a", 0.8), ("twin", 0.5)]])])
    assert first.startswith("On pets a helps: test accuracy ")
    assert "chosen" not in first


def test_variants_are_compared_with_what_they_change():
    evaluations = [evaluation(*v) for v in [("baseline", 0.5), ("transfer", 0.7), ("tuned", 0.85), ("both", 0.71)]]
    found = verdict(evaluations, against={"tuned": ("transfer",), "both": ("transfer", "baseline"), "transfer": ()})
    assert [(row.variant, row.baseline) for row in found.comparisons] == [
        ("both", "transfer"),
        ("both", "baseline"),
        ("transfer", "baseline"),
        ("tuned", "transfer"),
    ]
    tuned = row(found, "tuned")
    assert tuned.sentence.startswith("tuned helps compared with transfer: test accuracy changes by +")
    assert "Holm over 4 comparisons" in tuned.sentence
    assert set(found.helpers) == {"tuned", "transfer", "both"}
    first, second = opening_sentences([found])
    assert first.startswith("On pets tuned helps compared with transfer and is ahead of ")
    assert "both compared with transfer (" in second


def test_a_variant_without_its_partner_is_compared_with_the_baseline():
    found = verdict([evaluation(*v) for v in [("baseline", 0.5), ("tuned", 0.8)]], against={"tuned": ("transfer",)})
    assert [(row.variant, row.baseline) for row in found.comparisons] == [("tuned", "baseline")]
    assert found.warnings == ["tuned is not compared with transfer: transfer is not in the run."]


def test_two_seeds_decide_nothing():
    found = verdict([evaluation(*v, seeds=(0, 1)) for v in [("baseline", 0.5), ("up", 0.9)]])
    assert row(found, "up").decision == "not decided"
    assert (
        "With 2 seeds the randomness of training is hardly measured, so nothing is decided" in row(found, "up").sentence
    )
    assert opening_sentences([found]) == [
        "On pets nothing is decided with fewer than 3 seeds.",
        f"Not decided: up ({points(row(found, 'up').mean)} points, fewer than 3 seeds).",
    ]


def test_a_wide_margin_makes_a_small_difference_irrelevant():
    evaluations = [evaluation(*v, n=3000, seed_deviation=0.001) for v in [("baseline", 0.6), ("twin", 0.601)]]
    twin = row(verdict(evaluations, margin=0.1), "twin")
    assert twin.decision == "no relevant difference"
    assert twin.needed is None
    assert twin.sentence.startswith("twin makes no relevant difference: test accuracy changes by ")
    assert twin.sentence.endswith(
        "The whole interval is within ±10 points, so the difference does not matter in practice."
    )
    assert opening_sentences([verdict(evaluations, margin=0.1)])[1].startswith("No relevant difference: twin (")


def test_copies_of_one_image_count_once():
    def copied(made: Evaluation) -> Evaluation:
        """Ten groups of thirty images."""
        runs = [run.model_copy(update={"test_groups": [i // 30 for i in range(300)]}) for run in made.seeds]
        return made.model_copy(update={"seeds": runs})

    both = [evaluation(*v) for v in [("baseline", 0.6), ("up", 0.7)]]
    one, ten = row(verdict(both), "up"), row(verdict([copied(made) for made in both]), "up")
    assert (one.n_groups, ten.n_groups) == (300, 10)
    assert one.mean == ten.mean
    assert "300 test images in 10 groups" in ten.sentence
    assert "in 300 groups" not in one.sentence


def test_seeds_are_paired_where_both_train_the_same_kind_of_network():
    made = {name: evaluation(name, share) for name, share in [("baseline", 0.5), ("dropout", 0.6), ("transfer", 0.7)]}
    assert made["transfer"].backbone is not None
    found = verdict(list(made.values()))
    assert {row.variant: row.paired for row in found.comparisons} == {"dropout": True, "transfer": False}


def test_own_splits_beat_the_trivial_model_by_an_interval():
    evaluations = [evaluation(*v, split="resplit") for v in [("baseline", 0.54), ("up", 0.85)]]
    found = verdict(evaluations, trivial=[trivial_row(0.6, seeds=5)])
    beats = {r.variant: (r.trivial.beats, r.trivial.difference > 0) for r in found.variants}
    assert beats == {"baseline": (False, True), "up": (True, True)}
    assert all(r.trivial.interval.lower < r.trivial.difference < r.trivial.interval.upper for r in found.variants)


def test_points_have_a_sign_and_no_negative_zero():
    assert [points(share) for share in (0.0615, -0.02, -0.0001)] == ["+6.2", "-2.0", "0.0"]


def simulate(out: Path, *options: str) -> dict[str, Any]:
    """Run the simulation as a user would and return what it wrote."""
    command = [sys.executable, "-m", "bench.correctness.simulate_verdict", *options, "--out", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    result: dict[str, Any] = json.loads(out.read_text())
    return result


def test_simulated_studies_are_rarely_judged_wrongly(tmp_path):
    rates = simulate(tmp_path / "rates.json", "--quick", "--studies", "400")["ranges"]
    # 400 studies of 4 intervals: two standard errors of a rate near 95 % are about 1.5 points.
    assert 93 <= rates["fixed_split"]["coverage"]["lowest"] <= rates["fixed_split"]["coverage"]["highest"] <= 98
    # Two standard errors of a rate of 5 % are 2.2 points.
    for group, found in rates.items():
        assert found["coverage"]["lowest"] >= 93, group
        assert found["false_decisions"]["highest"] <= 7.2, group
        assert found.get("false_headlines", {"highest": 0})["highest"] <= 7.2, group


# Groups whose intervals are too narrow in some setting; docs/method.md names them.
BEYOND = ()


def broken_promises(result: dict[str, Any]) -> list[tuple[str, str, float]]:
    """Return what exceeds 5 % false decisions or headlines, or falls below 94 % coverage, by two standard errors."""
    found = []
    for group, rows in result["settings"].items():
        for row in rows if group not in BEYOND else ():
            judged = row["studies"]
            most = 5 + 200 * (0.05 * 0.95 / judged) ** 0.5
            least = 94 - 200 * (0.94 * 0.06 / judged) ** 0.5
            found += [(group, rate, row[rate]) for rate in ("false_decisions", "false_headlines", "false_pairs")
                      if row.get(rate, 0) > most]  # fmt: skip
            found += [(group, "coverage", row["coverage"])] if row.get("coverage", 100) < least else []
    return found


@pytest.mark.slow
def test_all_simulated_settings_keep_their_promises(tmp_path):
    assert broken_promises(simulate(tmp_path / "rates.json", "--studies", "200")) == []


def test_committed_simulation_is_the_promise_of_the_module():
    committed = json.loads((ROOT / "bench" / "results" / "verdict_simulation.json").read_text())
    assert committed["command"] == "python -m bench.correctness.simulate_verdict --studies 1000"
    assert broken_promises(committed) == []


def test_seeds_alone_would_be_too_sure():
    # Why the interval over seeds does not decide: ten seeds that agree on a test set of 100 images.
    generator = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        taste = generator.choice([-1.0, 0.0, 1.0], size=100, p=[0.1, 0.8, 0.1])
        table = np.where(generator.random((10, 100)) < 0.8, taste, 0.0)
        means = table.mean(axis=1)
        held += abs(means.mean()) <= 2.262 * means.std(ddof=1) / np.sqrt(10)
        assert crossed_estimate(table)[0].half_width(0.05) > 2.262 * means.std(ddof=1) / np.sqrt(10)
    assert held < 150
