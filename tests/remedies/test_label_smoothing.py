import numpy as np
import pytest

from convnet.remedies.label_smoothing import REMEDY, LabelSmoothing
from helpers import tiny_study as tiny

tiny.start_keras()


@pytest.mark.parametrize(("name", "classes"), [("binary_crossentropy", 2), ("categorical_crossentropy", 4)])
def test_loss_is_the_cross_entropy_with_a_share_divided_among_all_classes(name: str, classes: int) -> None:
    rng = np.random.default_rng(0)
    labels = np.eye(classes)[rng.integers(classes, size=9)]
    outputs = rng.dirichlet(np.ones(classes), 9)
    expected = -np.sum((0.8 * labels + 0.2 / classes) * np.log(outputs), axis=1).mean()
    given = (labels, outputs) if classes > 2 else (labels[:, 1:], outputs[:, 1:])
    loss = REMEDY.loss(LabelSmoothing(share=0.2), name, None)
    assert float(loss(*(part.astype(np.float32) for part in given))) == pytest.approx(expected, rel=1e-4)
