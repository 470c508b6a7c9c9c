"""Views of an image, against SciPy's resampling."""

import numpy as np
import pytest
from scipy import ndimage

from convnet.remedies.tta import axis_map


@pytest.mark.parametrize(("shift", "zoom", "mirrored"), [(0.0, 1.0, False), (0.1, 0.9, False), (-0.2, 1.15, True)])
def test_matrix_moves_an_axis_as_scipy_does(shift: float, zoom: float, mirrored: bool) -> None:
    row = np.random.default_rng(0).uniform(0, 255, 17)
    scale = -zoom if mirrored else zoom
    offset = 8 + shift * 17 - scale * 8
    expected = ndimage.affine_transform(row, np.array([scale]), offset, order=1, mode="nearest")
    assert row @ axis_map(17, shift, zoom, mirrored) == pytest.approx(expected, abs=1e-3)
