"""The lessons: their catalogue, the links of their words, and what the numbers of a dataset add."""

import re
from dataclasses import replace
from statistics import fmean

import pytest

from convnet.report.evidence import Study, evidence
from convnet.report.lesson import SECTIONS, glossary, linked, texts
from convnet.system.formats import points, points_interval
from helpers.evaluations import VARIANTS, make_evaluation, make_label_check, typed
from report.test_page import LAYERS, verdict

LESSONS = ("see", "epochs", "small", "augmentation", "transfer", "dropout", "classes")


def study(dataset: str = "hands", **parts: object) -> Study:
    made = [make_evaluation(dataset, name, 3) for name in VARIANTS]
    return Study(typed(*made), verdict(made), layers=LAYERS, **parts)  # type: ignore[arg-type]


def test_catalogue_has_every_section_and_lessons_are_numbered_in_order() -> None:
    sections = texts()["sections"]
    assert set(sections) == set(SECTIONS)
    titles = [sections[key]["title"] for key in SECTIONS]
    assert [int(found.group(1)) for title in titles if (found := re.match(r"Lesson (\d)", title))] == list(range(1, 8))
    assert all(sections[key]["text"] for key in LESSONS)


def test_sentences_of_the_catalogue_are_short() -> None:
    entries = [text for section in texts()["sections"].values() for text in section["text"]]
    entries += [term.text for term in glossary()]
    for text in entries:
        for sentence in re.split(r"(?<=[.:]) ", text):
            assert len(sentence.split()) <= 20, sentence


def test_glossary_has_one_anchor_per_entry_and_no_form_twice() -> None:
    anchors = [term.anchor for term in glossary()]
    forms = [form.lower() for term in glossary() for form in (term.name, *term.also)]
    assert len(set(anchors)) == len(anchors) > 40
    assert len(set(forms)) == len(forms)


def test_first_use_of_a_term_links_and_all_text_is_escaped() -> None:
    html = str(linked("Test images and <b>test images</b>; test images_2, `a < b` & \x00 the 95 % interval"))
    assert html == (
        '<a class="term" href="#term-test-images">Test images</a> and &lt;b&gt;test images&lt;/b&gt;; test images_2, '
        '<code>a &lt; b</code> &amp; \\x00 the <a class="term" href="#term-95-interval">95 % interval</a>'
    )


def test_every_lesson_has_evidence() -> None:
    assert set(evidence(study())) == set(LESSONS)
    assert set(evidence(study(labels=make_label_check()))) == {*LESSONS, "mistakes"}


def test_evidence_quotes_the_comparisons_of_its_remedy() -> None:
    given = study()
    found = evidence(given)
    rows = {row.variant: row for row in given.verdict.comparisons}
    for section, variant in (("augmentation", "augmented"), ("transfer", "transfer"), ("dropout", "dropout")):
        row = rows[variant]
        numbers = f"is {points(row.mean)} points of test accuracy (95 % interval {points_interval(*row.interval)})"
        assert any(f"{variant} less baseline {numbers}: {row.decision}." in text for text in found[section])


def test_dropout_on_one_head_is_kept_apart_from_dropout_in_the_small_network() -> None:
    made = [make_evaluation("pets", name, 3) for name in ("baseline", "dropout", "transfer", "transfer_dropout")]
    judged = verdict(made)
    row = next(row for row in judged.comparisons if row.variant == "transfer_dropout")
    rows = [row.model_copy(update={"baseline": "transfer"}), *judged.comparisons]
    given = Study(typed(*made), judged.model_copy(update={"comparisons": rows}), layers=LAYERS)
    same_head, small = evidence(given)["dropout"]
    assert same_head.startswith("With and without dropout on the same head: transfer_dropout less transfer is ")
    assert small.startswith("With and without dropout in the small CNN: dropout less baseline is ")


def test_overfitting_is_described_by_the_numbers_of_the_baseline() -> None:
    given = study()
    runs = given.evaluations[0].seeds
    sentences = evidence(given)["epochs"]
    assert f"at epoch {fmean(run.best_epoch for run in runs):.1f} of 15" in sentences[0]
    assert f"rises by {fmean(run.validation_loss_rise for run in runs):.3f} nats" in sentences[0]
    gaps = {e.variant: abs(fmean(run.generalisation_gap for run in e.seeds)) for e in given.evaluations}
    assert sentences[2].startswith(f"The smallest generalisation gap is that of {min(gaps, key=gaps.__getitem__)}: ")


def test_variants_of_equal_gaps_as_printed_are_named_together() -> None:
    made = [make_evaluation("pets", name, 2) for name in ("baseline", "dropout", "transfer")]
    for evaluation, gap in zip(made, (0.2, 0.0301, 0.0302), strict=True):
        for run in evaluation["seeds"]:
            run["generalisation_gap"] = gap
    sentences = evidence(Study(typed(*made), verdict(made), layers=LAYERS))["epochs"]
    assert sentences[2] == "The smallest generalisation gap is that of dropout and transfer: +3.0 points."


def test_fall_on_changed_images_is_the_mean_over_changes_and_seeds() -> None:
    rows = [
        {"split": split, "perturbation": kind, "strength": strength, "variant": variant, "accuracy": accuracy}
        for split in ("train", "validation")
        for variant, original, last in (("baseline", 0.8, 0.5), ("augmented", 0.9, 0.85))
        for kind, strength, accuracy in (
            ("none", 0, [original, original]),
            ("blur", 1, [0.1, 0.1]),
            ("blur", 3, [last, last]),
            ("noise", 3, [last - 0.1, last + 0.1]),
        )
    ]
    text = evidence(study(robustness=rows))["augmentation"][-1]
    assert "baseline loses 30.0 points" in text
    assert text.endswith("and augmented 5.0.")


@pytest.mark.parametrize(("dataset", "words"), [("pets", "1 unit, sigmoid"), ("hands", "3 units, softmax")])
def test_number_of_classes_decides_the_output(dataset: str, words: str) -> None:
    sentences = evidence(study(dataset))["classes"]
    assert words in sentences[0]
    assert len(sentences) == (1 if dataset == "pets" else 3)


def test_without_a_sweep_its_command_is_named() -> None:
    assert "sweep.enabled=true" in evidence(study())["small"][-1]
    assert "sweep.enabled" not in " ".join(evidence(study(sweep={"baseline": {}}))["small"])


def test_cost_counts_what_looks_saved() -> None:
    assert "cost" not in evidence(study())
    given = study()
    runs = [run.seconds_training for e in given.evaluations for run in e.seeds]
    looked = replace(given, verdict=given.verdict.model_copy(update={"looks": [1, 6]}))
    (sentence,) = evidence(looked)["cost"]
    left = {e.variant: 6 - len(e.seeds) for e in given.evaluations}
    more = sum(left[e.variant] * fmean(run.seconds_training for run in e.seeds) for e in given.evaluations)
    assert sentence == (
        f"The looks took {len(runs)} jobs and {sum(runs) / 60:.1f} minutes of training. 6 seeds of all variants take "
        f"{sum(left.values())} more jobs and about {more / 60:.1f} more minutes."
    )
    spent = replace(given, verdict=given.verdict.model_copy(update={"looks": [1]}))
    assert "cost" not in evidence(spent)


def test_mistakes_name_the_labels_to_check_and_the_way_to_change_them() -> None:
    text = " ".join(evidence(study(labels=make_label_check(suspects=3, pairs=0)))["mistakes"])
    assert "judges each of the 200 images" in text
    assert "85.0 %. 3 images (1.5 %) have a label to check: cat that may be dog 3." in text
    assert "`convnet init FOLDER --write-labels labels.csv`" in text
    assert "reports/tables/suggested_labels_pets.csv" in text
    assert "two labels" not in text
    both = " ".join(evidence(study(labels=make_label_check(suspects=1, pairs=1)))["mistakes"])
    assert "1 image (0.5 %) has a label to check" in both
    assert "2 pairs of copies of one image have two labels." in both


def test_labels_without_a_judge_are_one_sentence() -> None:
    check = make_label_check(suspects=0, pairs=0, unknown="No model.", folds_accuracy=None)
    assert evidence(study(labels=check))["mistakes"] == ["No model."]


def test_labels_without_a_suspect_need_no_advice() -> None:
    text = " ".join(evidence(study(labels=make_label_check(suspects=0, pairs=0)))["mistakes"])
    assert text.endswith("0 images (0.0 %) have a label to check.")
