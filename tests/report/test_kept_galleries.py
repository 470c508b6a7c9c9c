"""A gallery from the store has the bytes of one that is drawn, and everything on it decides which one it is."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from convnet.jobs import store as job_store
from convnet.report import kept_galleries
from convnet.report.drawing import gallery, show_image
from convnet.report.embedding import embed_image
from convnet.report.kept_galleries import embed_kept, save_gallery
from convnet.report.style import save_png

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3)).astype(np.uint8)


def make(title: str = "Highest losses", texts: str = "abc", images: np.ndarray = PIXELS) -> Figure:
    figure, axes = gallery(len(texts), lines=1)
    figure.suptitle(title)
    for ax, text, image in zip(axes, texts, images, strict=True):
        show_image(ax, image)
        ax.set_title(text, loc="left")
    return figure


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(kept_galleries, "STORE", tmp_path / "jobs")
    return tmp_path / "jobs"


def test_kept_gallery_is_not_drawn_and_has_equal_bytes(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_png(make(), tmp_path / "drawn.png")
    save_gallery(make(), tmp_path / "a" / "first.png")
    monkeypatch.setattr(kept_galleries, "save_png", None)
    save_gallery(make(), tmp_path / "a" / "second.png")
    drawn = (tmp_path / "drawn.png").read_bytes()
    assert [(tmp_path / "a" / f"{name}.png").read_bytes() for name in ("first", "second")] == [drawn, drawn]
    assert len(list(store.iterdir())) == 1


def test_title_texts_and_pixels_decide(store: Path, tmp_path: Path) -> None:
    other = PIXELS.copy()
    other[1, 2, 3, 0] ^= 1
    for number, figure in enumerate([make(), make("Labels"), make(texts="abd"), make(images=other)]):
        save_gallery(figure, tmp_path / f"{number}.png")
        assert len(list(store.iterdir())) == number + 1


def test_kept_image_is_the_embedded_one_and_the_file_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_store, "STORE", tmp_path / "jobs")
    first, second = tmp_path / "first.png", tmp_path / "second.png"
    save_png(make(), first)
    save_png(make(title="Other"), second)
    expected = [embed_image(path) for path in (first, second)]
    assert [embed_kept(path) for path in (first, second)] == expected
    monkeypatch.setattr(kept_galleries, "embed_image", None)
    assert [embed_kept(path) for path in (first, second)] == expected
    save_png(make(texts="xyz"), first)
    with pytest.raises(TypeError):
        embed_kept(first)
