"""The labels that may be wrong, in words."""

from collections import Counter

from convnet.evaluation.schema import LabelCheck
from convnet.system.formats import percent, plural
from convnet.system.language import mark, tr

SHOWN_PAIRS = 6  # of classes, in a sentence


def label_sentences(check: LabelCheck | None, rendered: bool) -> list[str]:
    """Return how many labels are suspect, between which classes, and how to change them."""
    if check is None:
        return []
    copies = len(check.two_labels)
    one = mark("{pairs} of copies of one image has two labels.")
    several = mark("{pairs} of copies of one image have two labels.")
    doubled = [tr(one if copies == 1 else several, pairs=plural(copies, "pair"))] if copies else []
    if check.unknown:
        return [tr(check.unknown), *doubled]
    assert check.folds_accuracy is not None
    count = len(check.suspects)
    judged = [
        tr(
            "A logistic regression on the features of the backbone judges each of the {images:,} images. It did not "
            "train on the image, nor on a copy of it.",
            images=check.images,
        ),
        tr(
            mark("It predicts the given label of {accuracy}. {images} ({share}) has a label to check{pairs}.")
            if count == 1
            else mark("It predicts the given label of {accuracy}. {images} ({share}) have a label to check{pairs}."),
            accuracy=percent(check.folds_accuracy),
            images=plural(count, "image"),
            share=percent(count / check.images),
            pairs=_pairs_of_classes(check),
        ),
    ]
    if not count and not copies:
        return judged
    return [*judged, *doubled, *_advice(check, rendered)]


def _advice(check: LabelCheck, rendered: bool) -> list[str]:
    caution = (
        mark("Labels of rendered images are usually right, so most of these images are hard and not mislabelled.")
        if rendered
        else mark("A hard image looks like a wrong label to a model, so look at each image first.")
    )
    return [
        tr(caution),
        tr(
            "To change labels, write their table with `convnet init FOLDER --write-labels labels.csv`. Replace its "
            "rows by rows of reports/tables/suggested_labels_{dataset}.csv, or write drop as a label. Then run "
            "`convnet init FOLDER` again.",
            dataset=check.dataset,
        ),
    ]


def _pairs_of_classes(check: LabelCheck) -> str:
    """Return the most frequent pairs of a given and a suggested label."""
    pairs = Counter((image.given, image.suggested) for image in check.suspects).most_common(SHOWN_PAIRS)
    pair = mark("{given} that may be {suggested} {count:,}")
    words = ", ".join(tr(pair, given=given, suggested=new, count=count) for (given, new), count in pairs)
    return f": {words}" if words else ""
