import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from statsmodels.stats.proportion import proportion_confint

from convnet.comparison.variant_summary import accuracy_interval
from convnet.comparison.verdict import verdict as judge
from convnet.evaluation.learning_curve import learning_curve
from convnet.report import drawing, tables
from convnet.report import style as figures
from convnet.report.build import draw_charts
from convnet.report.chart import Chart, Images, Numbers
from convnet.report.charts import (
    accuracy,
    confusion,
    cost,
    curves,
    differences,
    feature_maps,
    gap,
    mislabelled,
    reliability,
    robustness,
    top_losses,
)
from convnet.report.charts import (
    learning_curve as sizes,
)
from convnet.report.charts.augmentation import augmentation_chart
from convnet.report.charts.filters import filters_chart
from convnet.report.charts.grad_cam import grad_cam_chart
from convnet.report.charts.remedies import remedy_chart
from convnet.report.gains import gains, pareto
from helpers.evaluations import VARIANTS, make_evaluation, make_evaluations, make_label_check, typed

STYLES = figures.variant_styles(VARIANTS)
SEED_COUNTS = [1, 3, 5]
PETS = {"dataset": "pets", "kind": "rendered"}


def noise_images(members: Sequence[str]) -> Images:
    return np.random.default_rng(0).integers(0, 255, (len(members), 24, 32, 3), dtype=np.uint8)


def numbers_of(*evaluations: dict[str, Any], **parts: Any) -> Numbers:
    return Numbers(typed(*evaluations), STYLES, images=noise_images, **parts)


def history(variant: str = "baseline", seeds: int = 3, epochs: int = 15) -> pd.DataFrame:
    return tables.history_table(typed(make_evaluation("pets", variant, seeds, epochs=epochs)))


@pytest.fixture
def ax() -> Axes:
    return figures.new_figure(6, 4).add_subplot()


@pytest.fixture(scope="module")
def images() -> Images:
    return noise_images([""] * 12)


def texts(figure: Figure) -> list[Text]:
    """All text that is drawn: ticks outside the limits and the ticks of images are not."""
    found: list[Text] = list(figure.texts)
    for legend in figure.legends:
        found += legend.get_texts()
    for ax in figure.axes:
        found += [*ax.texts, *(child for child in ax.get_children() if isinstance(child, Text))]
        for axis in (ax.xaxis, ax.yaxis) if ax.axison else ():
            low, high = sorted(axis.get_view_interval())
            found.append(axis.label)
            found += [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    return [text for text in dict.fromkeys(found) if text.get_visible() and text.get_text()]


def overlaps(shown: Sequence[Text]) -> list[tuple[str, str]]:
    # Of the text alone: the extent of an annotation holds its arrow too.
    boxes = [(text.get_text(), Text.get_window_extent(text).shrunk(0.98, 0.98)) for text in shown]
    return [(a, b) for (a, box), (b, other) in combinations(boxes, 2) if box.overlaps(other)]


@pytest.mark.parametrize("seeds", SEED_COUNTS)
def test_learning_curves_show_each_seed_thin_and_the_mean_thick(ax: Axes, seeds: int) -> None:
    evaluation = make_evaluation("pets", "baseline", seeds)
    curves.plot_learning_curves(ax, history("baseline", seeds), "accuracy", STYLES["baseline"])
    thick = [line for line in ax.lines if line.get_linewidth() >= 2]
    assert len(thick) == 2
    assert len(ax.lines) - len(thick) == (2 * seeds if seeds > 1 else 0)
    rows = [[row["validation_accuracy"] for row in evaluation["history"] if row["seed"] == s] for s in range(seeds)]
    np.testing.assert_allclose(np.asarray(thick[1].get_ydata()), np.mean(rows, axis=0))


def test_mean_curve_ends_where_the_first_seed_stopped() -> None:
    values = {0: ([0.5, 0.6, 0.7], [0.5, 0.5, 0.5]), 1: ([0.7, 0.8], [0.6, 0.7])}
    rows = [
        {"seed": seed, "epoch": epoch, "split": split, "loss": loss}
        for seed, splits in values.items()
        for split, of_split in zip(("train", "validation"), splits, strict=True)
        for epoch, loss in enumerate(of_split, start=1)
    ]
    middle = curves.mean_curve(pd.DataFrame(rows), "loss")
    assert middle.index.tolist() == [1, 2]
    np.testing.assert_allclose(middle["train"], (0.6, 0.7))


@pytest.mark.parametrize(("epochs", "marker"), [(1, "o"), (5, "o"), (6, "None")])
def test_few_epochs_have_a_marker_each(ax: Axes, epochs: int, marker: str) -> None:
    curves.plot_learning_curves(ax, history("baseline", 1, epochs), "accuracy", STYLES["baseline"])
    assert {line.get_marker() for line in ax.lines} == {marker}


def test_panels_of_learning_curves_share_their_height_and_not_their_epochs() -> None:
    evaluations = [make_evaluation("pets", "baseline", 2, epochs=40), make_evaluation("pets", "fine_tune", 2, epochs=3)]
    long, short = curves.charts(numbers_of(*evaluations))[0].figure.axes
    assert long.get_ylim() == short.get_ylim()
    assert long.get_xlim()[1] > 40
    assert 3 < short.get_xlim()[1] < 4


@pytest.mark.parametrize("seeds", SEED_COUNTS)
def test_dots_hold_every_seed_and_the_interval(ax: Axes, seeds: int) -> None:
    values = {"baseline": [0.9, 1.0, 0.8, 0.99, 0.97][:seeds], "augmented": [0.99] * seeds}
    intervals = {"baseline": (0.7, 1.0), "augmented": (0.95, 1.0)}
    drawing.plot_dots(ax, values, STYLES, intervals)
    dots = [line for line in ax.lines if line.get_linestyle() == "None"]
    assert [list(line.get_xdata()) for line in dots] == list(values.values())
    lines = [tuple(line.get_xdata()) for line in ax.lines if line.get_alpha() == 0.5]
    assert lines == list(intervals.values())
    assert [label.get_text() for label in ax.get_yticklabels()] == list(values)
    assert len(ax.lines) == (6 if seeds > 1 else 4)


@pytest.mark.parametrize("seeds", SEED_COUNTS)
def test_accuracy_and_gap_show_the_intervals_that_their_captions_name(seeds: int) -> None:
    made = make_evaluations(1, 3, seeds)
    numbers = numbers_of(*made)
    for charts, expected in ((accuracy.charts, accuracy_interval), (gap.charts, None)):
        (chart,) = charts(numbers)
        lines = [tuple(line.get_xdata()) for line in chart.figure.axes[0].lines if line.get_alpha() == 0.5]
        for evaluation, line in zip(numbers.evaluations, lines, strict=True):
            values = [run.generalisation_gap for run in evaluation.seeds]
            interval = expected(evaluation) if expected else tables.clipped_interval(values, -1.0)
            np.testing.assert_allclose(line, interval)
    assert ("over seeds and test images" in accuracy.charts(numbers)[0].caption) == (seeds > 1)


def test_differences_show_interval_verdict_and_margin() -> None:
    made = make_evaluations(1, 5, 5)
    verdict = judge(typed(*made))
    (chart,) = differences.charts(numbers_of(*made, verdict=verdict))
    ax = chart.figure.axes[0]
    drawn = [line for line in ax.lines if line.get_marker() == "None" and len(set(line.get_ydata())) == 1]
    for row, line in zip(verdict.comparisons, drawn, strict=True):
        np.testing.assert_allclose(line.get_xdata(), [100 * end for end in row.interval])
        assert line.get_color() == differences.LOOKS[row.decision][0]
    band = ax.patches[0].get_extents().transformed(ax.transData.inverted())
    assert (band.x0, band.x1) == pytest.approx((-2.0, 2.0))
    assert {row.decision for row in verdict.comparisons} > {"helps"}
    assert chart.table is not None
    assert chart.table["verdict"].tolist() == [row.decision for row in verdict.comparisons]


def test_without_comparisons_there_is_no_chart_of_differences() -> None:
    made = make_evaluation("pets", "baseline", 3)
    assert differences.charts(numbers_of(made, verdict=judge(typed(made)))) == []


def test_confusion_shows_counts_and_shares_of_the_row(ax: Axes) -> None:
    confusion.plot_confusion(ax, [[8, 2], [0, 0]], ["cat", "dog"])
    assert [text.get_text() for text in ax.texts] == ["8\n80 %", "2\n20 %", "0\n0 %", "0\n0 %"]
    np.testing.assert_allclose(np.asarray(ax.images[0].get_array()), [[0.8, 0.2], [0.0, 0.0]])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted", "true")


def test_of_many_classes_the_most_confused_pairs_are_shown() -> None:
    classes = [f"class {i:02d}" for i in range(40)]
    made = make_evaluation("pets", "baseline", 2, classes=classes)
    for run in made["seeds"]:
        run["splits"]["test"]["confusion"] = np.diag([5] * 40).tolist()
        for pair in range(30):
            run["splits"]["test"]["confusion"][pair][pair + 1] = pair
    (chart,) = confusion.charts(numbers_of(made))
    assert chart.table is not None
    assert chart.table["count"].tolist() == [2 * pair for pair in range(29, 9, -1)]
    assert chart.table.loc[0, ["true", "predicted"]].tolist() == ["class 29", "class 30"]
    assert chart.table.loc[0, "row_share"] == pytest.approx(29 / 34)
    ax = chart.figure.axes[0]
    assert [bar.get_width() for bar in ax.patches] == chart.table["count"].tolist()
    assert ax.get_yticklabels()[0].get_text() == "class 29 → class 30"


def test_without_mistakes_the_chart_of_pairs_is_empty() -> None:
    classes = [f"class {i:02d}" for i in range(20)]
    made = make_evaluation("pets", "baseline", 1, classes=classes)
    made["seeds"][0]["splits"]["test"]["confusion"] = np.eye(20, dtype=int).tolist()
    (chart,) = confusion.charts(numbers_of(made))
    assert not chart.figure.axes[0].patches


def test_reliability_draws_accuracy_against_confidence(ax: Axes) -> None:
    bins = pd.DataFrame({"n": [4, 8], "confidence": [0.7, 0.9], "accuracy": [0.5, 1.0]})
    reliability.plot_reliability(ax, bins, STYLES["dropout"])
    np.testing.assert_allclose(np.asarray(ax.lines[1].get_xdata()), [0.7, 0.9])
    np.testing.assert_allclose(np.asarray(ax.lines[1].get_ydata()), [0.5, 1.0])
    assert not ax.collections[0].get_clip_on(), "a marker on the edge is whole"


def test_pooled_reliability_of_all_seeds_keeps_every_image() -> None:
    evaluations = typed(make_evaluation("pets", "baseline", 3))
    pooled = reliability.pooled(tables.reliability_table(evaluations))
    assert pooled["n"].sum() == 3 * 80
    right = (pooled["n"] * pooled["accuracy"]).sum()
    assert right / 240 == pytest.approx(tables.variants_table(evaluations)["test_accuracy"].mean())


def test_cost_figure_draws_gain_interval_and_line_of_every_variant() -> None:
    numbers = numbers_of(*(made := make_evaluations(1, 6, 5)), verdict=judge(typed(*made)))
    assert numbers.verdict is not None
    (chart,) = cost.charts(numbers)
    found = gains(numbers.evaluations, numbers.verdict)
    assert {one.verdict for one in found} > {"baseline", "helps"}
    for ax, of in zip(chart.figure.axes, ("minutes", "megabytes"), strict=True):
        marked = [line for line in ax.lines if line.get_linestyle() == "None"]
        assert [(*line.get_xdata(), *line.get_ydata()) for line in marked] == [
            (getattr(one, of), 100 * one.gain) for one in found
        ]
        assert [line.get_color() for line in marked] == [cost.LOOK[one.verdict][0] for one in found]
        upright = [line for line in ax.lines if line.get_alpha() == 0.5]
        assert [list(line.get_ydata()) for line in upright] == [[100 * one[4], 100 * one[5]] for one in found]
        joined = [line for line in ax.lines if line.get_markerfacecolor() == "none"]
        expected = pareto(found, of, numbers.verdict.margin)
        assert list(joined[0].get_ydata()) == [100 * one.gain for one in expected]
    assert chart.table is not None
    assert chart.table["variant"].tolist() == list(VARIANTS)


def test_without_a_comparison_there_is_no_chart_of_costs() -> None:
    made = make_evaluation("pets", "baseline", 3)
    assert cost.charts(numbers_of(made, verdict=judge(typed(made)))) == []
    assert cost.charts(numbers_of(made, make_evaluation("pets", "dropout", 3))) == []


def test_robustness_curves_start_at_the_original() -> None:
    rows = [
        {
            "variant": "baseline",
            "split": split,
            "perturbation": name,
            "strength": strength,
            "accuracy": [0.9 - strength / 10],
        }
        for split in ("validation", "test")
        for name, strength in [("none", 0), ("blur", 1), ("blur", 2), ("noise", 1)]
    ]
    assert robustness.curves(rows, "validation") == {
        "blur": {"baseline": {0.0: [0.9], 1: [0.8], 2: [0.7]}},
        "noise": {"baseline": {0.0: [0.9], 1: [0.8]}},
    }


def test_robustness_of_few_images_has_wide_intervals() -> None:
    facts = {"split": "validation", "perturbation": "none", "strength": 0, "accuracy": [0.8, 0.9]}
    rows = [facts | {"variant": name, "n": n} for name, n in (("few", 20), ("many", 2000))]
    table = robustness.interval_table(rows).set_index("variant")
    for name, n in (("few", 20), ("many", 2000)):
        low, high = proportion_confint(0.85 * n, n, method="wilson")
        assert table.loc[name, ["accuracy", "interval_low", "interval_high"]].tolist() == pytest.approx(
            [0.85, low, high]
        )


LAW = (1.5, 0.5, 0.1)  # a, b, c


def size_sweep(seeds: int, measured: Sequence[int] = (50, 101, 202, 404)) -> dict[str, Any]:
    """Return data/sweeps/<dataset>.json's variants: baseline with a power law, augmented with a refused one."""
    points = [
        {
            "training_images": size,
            "seed": seed,
            "test_accuracy": 0.8 - 2 / size + 0.01 * seed,
            "generalisation_gap": 5 / size - 0.01 * seed,
        }
        for seed in range(seeds)
        for size in reversed(measured)  # as jobs may end in any order
    ]
    law: dict[str, Any] = dict(zip("abc", LAW, strict=True)) | {"sizes": measured, "errors": [0.3, 0.2]}
    doubling: dict[str, Any] = {"from": 404, "to": 808, "gain": 0.01, "interval": [0.0, 0.02], "at_least": False}
    return {
        "baseline": {"points": points, "curve": law | {"refused": None, "doubling": doubling}},
        "augmented": {"points": points, "curve": law | {"refused": "too few", "sizes": measured[:3]}},
    }


def test_size_curves_read_a_fitted_sweep() -> None:
    sweep = size_sweep(3)
    errors: dict[int, list[float]] = {}
    for point in sweep["baseline"]["points"]:
        errors.setdefault(point["training_images"], []).append(1 - point["test_accuracy"])
    fitted = learning_curve(errors, rendered=True)
    curve = sizes.size_curves({"baseline": sweep["baseline"] | {"curve": fitted}}, rendered=True)["baseline"]
    assert curve.fit == tuple(fitted[name] for name in "abc")
    assert list(curve.accuracies) == list(curve.gaps) == [50, 101, 202, 404]
    assert curve.accuracies[202] == pytest.approx([0.8 - 2 / 202 + 0.01 * seed for seed in range(3)])
    assert curve.gaps[50] == pytest.approx([0.1, 0.09, 0.08])
    assert curve.sentence == fitted["sentence"]


def test_size_figure_shows_bands_gap_and_the_accepted_power_law() -> None:
    a, b, c = LAW
    upper, lower = sizes.charts(numbers_of(make_evaluation("pets", "baseline"), sweep=size_sweep(3)))[0].figure.axes
    law = [line for line in upper.lines if line.get_linestyle() == ":"]
    assert len(law) == 1, "the refused one is not drawn"
    x, y = (np.asarray(values, dtype=float) for values in law[0].get_data())
    assert (x[0], x[-1]) == (50, pytest.approx(808))
    np.testing.assert_allclose(y, 1 - (a * x**-b + c))
    assert not [line for line in lower.lines if line.get_linestyle() == ":"]
    half = 4.302653 * 0.01 / np.sqrt(3)  # Student's t, 2 degrees of freedom, from a printed table
    for ax, middle in ((upper, 0.8 - 2 / 404 + 0.01), (lower, 5 / 404 - 0.01)):
        assert len(ax.collections) == 2, "a band per variant"
        corners = ax.collections[0].get_paths()[0].vertices
        ends = [height for size, height in np.asarray(corners) if size == 404]
        np.testing.assert_allclose([min(ends), max(ends)], [middle - half, middle + half], rtol=1e-5)
    assert "gap" in lower.get_ylabel()


@pytest.mark.parametrize("seeds", SEED_COUNTS)
@pytest.mark.parametrize("measured", [(50, 101, 202, 404), (12_500, 25_000, 47_000, 50_000), (100,)])
def test_size_chart_is_legible_and_says_what_more_images_bring(seeds: int, measured: Sequence[int]) -> None:
    chart = sizes.charts(numbers_of(make_evaluation("pets", "baseline"), sweep=size_sweep(seeds, measured)))[0]
    check_legible(chart)
    assert chart.caption.startswith("baseline: Doubling your images from 404 to 808 would bring about 1.0 points of ")
    assert f" augmented: The gain from more images is unknown: {len(measured[:3])} sizes were measured" in chart.caption
    assert f"augmented with {measured[-1]:,} images" in chart.alt
    assert chart.table is not None
    assert chart.table[["variant", "training_images"]].to_numpy().tolist() == [
        [variant, n] for variant in ("baseline", "augmented") for n in measured
    ]
    first, last = chart.table.iloc[0], chart.table.iloc[-1]
    assert first["generalisation_gap"] == pytest.approx(5 / measured[0] - 0.01 * (seeds - 1) / 2)
    assert first["power_law"] == pytest.approx(1 - (1.5 * measured[0] ** -0.5 + 0.1))
    assert np.isnan(last["power_law"])
    assert np.isnan(first["interval_low"]) == (seeds == 1)


def check_legible(chart: Chart) -> None:
    chart.figure.draw_without_rendering()
    shown = texts(chart.figure)
    assert min(text.get_fontsize() for text in shown) >= 9, chart.name
    assert overlaps(shown) == [], chart.name
    assert all(ax.has_data() for ax in chart.figure.axes), chart.name  # no empty panel
    assert "rendered images" in chart.title
    assert chart.figure.get_suptitle() == figures.label(chart.title, 80)
    assert chart.alt.endswith(".")


@pytest.mark.parametrize(("variants", "seeds"), [(1, 1), (4, 2), (6, 3)])
def test_every_chart_of_a_dataset_is_legible(variants: int, seeds: int) -> None:
    evaluations = make_evaluations(1, variants, seeds)
    verdict = judge(typed(*evaluations))
    made = draw_charts(numbers_of(*evaluations, robustness=_robustness(variants, seeds), verdict=verdict))
    names = ["differences"] * (variants > 1)
    names += ["accuracy", "gap", "curves_accuracy", "curves_loss", "confusion", "reliability", "robustness"]
    galleries = [f"top_losses_{name}" for name in VARIANTS[:variants]]
    assert [chart.name for chart in made] == names + (["cost"] if variants > 1 else []) + galleries
    for chart in made:
        check_legible(chart)
        assert chart.table is not None
        assert not chart.table.empty


def test_charts_of_photographs_say_so() -> None:
    for chart in draw_charts(numbers_of(*make_evaluations(1, 2, 2, kind="photographs"))):
        assert "photographs" in chart.title
        assert "rendered" not in chart.title


def test_variants_keep_colour_and_marker_over_datasets() -> None:
    transfer = make_evaluations(2, 5, 2)[8:]  # transfer and transfer_dropout only
    alone = draw_charts(numbers_of(*transfer))[0].figure.axes[0]
    colours = {line.get_markeredgecolor() for line in alone.lines if line.get_marker() == STYLES["transfer"].marker}
    assert colours == {STYLES["transfer"].colour}
    assert len({(style.colour, style.marker) for style in STYLES.values()}) == len(VARIANTS)
    assert len({style.dash for style in STYLES.values()}) == len(VARIANTS)


def test_many_variants_still_differ() -> None:
    styles = figures.variant_styles([str(i) for i in range(20)])
    assert len({(style.colour, style.marker) for style in styles.values()}) == 20


def test_standardise_follows_the_rule_of_the_course() -> None:
    values = np.array([[0.0, 2.0], [4.0, 100.0]])
    found = feature_maps.standardise(values)
    expected = np.clip((values - values.mean()) / values.std() * 64 + 128, 0, 255).astype("uint8")
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("value", [0.0, 7.5, 1e8])
def test_constant_channel_is_dead(value: float) -> None:
    assert feature_maps.standardise(np.full((4, 4), value, dtype=np.float32)) is None


def test_wide_layer_shows_its_most_active_channels_and_counts_the_dead() -> None:
    maps = np.random.default_rng(0).random((5, 5, 768))
    maps[:, :, 100:] *= 0.1
    maps[:, :, 3] = 9.0  # the highest mean of all, but dead
    tiles = feature_maps.tile_channels(maps)
    assert (tiles.shown, tiles.channels, tiles.dead) == (32, 768, 1)
    assert tiles.image.shape == (2 * 6, 16 * 6, 3)
    assert not (tiles.image == feature_maps.DEAD).all(axis=2).any()


def test_tiles_are_viridis_side_by_side_and_dead_ones_grey() -> None:
    maps = np.zeros((2, 2, 3))
    maps[:, :, 0] = [[0, 1], [2, 3]]
    maps[:, :, 2] = [[3, 2], [1, 0]]
    tiles = feature_maps.tile_channels(maps)
    grey = feature_maps.standardise(maps[:, :, 0])
    assert grey is not None
    expected = np.asarray(matplotlib.colormaps["viridis"](grey, bytes=True))[:, :, :3].astype(int)
    assert np.abs(tiles.image[:2, :2].astype(int) - expected).max() <= 1
    assert (tiles.image[:2, 3:5] == feature_maps.DEAD).all()
    assert tiles.dead == 1


def test_image_figures_are_legible(images: Images) -> None:
    maps = np.random.default_rng(1).random((9, 9, 40))
    maps[:, :, 0] = 0
    made = [
        feature_maps.feature_maps_chart(images[0], {"conv_1": maps, "mixed7": maps[:4, :4]}, "baseline", PETS),
        augmentation_chart(images[:3], np.stack([images[:5]] * 3), PETS),
        grad_cam_chart(images[:3], np.random.default_rng(2).random((3, 4, 4)), ["a", "b", "c"], "x", PETS),
        filters_chart(np.random.default_rng(3).normal(size=(3, 3, 3, 16)), "conv_1", "baseline", PETS),
        remedy_chart(
            "mixup",
            "It mixes.",
            "mixed",
            {
                "original": (images[:4], ["a class of a long name"] * 4),
                "epoch 1": (images[4:8], ["98 % a class of a long name\n2 % b"] * 4),
            },
            PETS,
        ),
    ]
    for chart in made:
        check_legible(chart)
    words = " ".join(text.get_text() for text in texts(made[0].figure))
    assert "32 of 40 channels shown, 1 dead" in words


def test_gallery_names_true_predicted_probability_and_file() -> None:
    evaluation = make_evaluation("pets", "baseline", 1)
    run = evaluation["seeds"][0]
    run["test_members"][0], run["test_labels"][0], run["test_probabilities"][0] = "test/cat/1.png", 0, [1e-9, 0.876]
    chart = top_losses.charts(numbers_of(evaluation))[0]
    assert chart.figure.axes[0].get_title(loc="left") == "true: cat\npredicted: dog 88 %\ntest/cat/1.png"
    assert chart.alt.startswith(
        "The 8 test images with the highest loss of baseline, worst first: a cat taken for dog;"
    )


def test_grad_cam_shares_one_scale(images: Images) -> None:
    heat = np.stack([np.full((3, 3), 0.2), np.full((3, 3), 0.8)])
    figure = grad_cam_chart(images[:2], heat, ["a", "b"], "x", PETS).figure
    overlays = [image for ax in figure.axes for image in ax.images if image.get_cmap().name == "inferno"]
    assert [image.get_clim() for image in overlays] == [(0.0, 0.8), (0.0, 0.8)]


@pytest.mark.parametrize(
    "name",
    ["$\\frac{1}{0}$", "$x$ and $y", "\\$5", "a\nb\tc", "\x00\x1b[31m", "\u202etxt", "猫", '<b>&"cats"', "\udcff"],
)
def test_untrusted_names_are_drawn_as_they_are(tmp_path: Path, name: str) -> None:
    evaluation = make_evaluation("pets", "baseline", 2, classes=[name, "dog"])
    evaluation["dataset"] = evaluation["variant"] = name
    numbers = Numbers(typed(evaluation), figures.variant_styles([name]), images=noise_images)
    for chart in draw_charts(numbers):
        chart.figure.draw_without_rendering()
        shown = [text for text in texts(chart.figure) if "\\frac" in text.get_text()]
        assert all(text.get_text().count("$") == text.get_text().count(r"\$") for text in shown)
    png, svg = figures.save_figure(confusion.charts(numbers)[0].figure, tmp_path / "hostile")
    Image.open(png).verify()
    ElementTree.parse(svg)


def test_label_shortens_in_the_middle() -> None:
    assert figures.label("test/a_very_long_folder/0071.png", 20) == "test/a_ve…r/0071.png"
    assert len(figures.label("x" * 100, 20)) == 20


def test_saved_files_are_equal_on_a_second_run(tmp_path: Path) -> None:
    for folder in ("first", "second"):
        for chart in draw_charts(numbers_of(*make_evaluations(1, 3, 3)))[:3]:
            figures.save_figure(chart.figure, tmp_path / folder / chart.name)
    files = sorted((tmp_path / "first").iterdir())
    assert len(files) == 6
    for path in files:
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes()


def test_saved_files_name_neither_program_nor_time(tmp_path: Path) -> None:
    figure = confusion.charts(numbers_of(*make_evaluations(1, 1, 1)))[0].figure
    png, svg = figures.save_figure(figure, tmp_path / "v1.5-confusion")
    assert (png.name, svg.name) == ("v1.5-confusion.png", "v1.5-confusion.svg")
    with Image.open(png) as image:
        assert set(image.info) <= {"dpi"}
        assert image.width == 150 * figures.WIDTH * 0.75
    text = svg.read_text("utf-8")
    assert "dc:date" not in text
    assert "Matplotlib v" not in text
    assert "<text" not in text  # glyphs are paths: equal on a machine without the font


def _robustness(variants: int, seeds: int) -> list[dict[str, Any]]:
    return [
        {
            "variant": variant,
            "split": split,
            "perturbation": perturbation,
            "strength": strength,
            "n": 60,
            "accuracy": [0.9 - 0.1 * strength - 0.01 * seed for seed in range(seeds)],
        }
        for split in ("validation", "test")
        for perturbation in ("none", "blur", "noise", "brightness", "rotation")
        for strength in ([0] if perturbation == "none" else [1, 2, 3])
        for variant in VARIANTS[:variants]
    ]


def test_labels_to_check_show_the_given_and_the_suggested_label() -> None:
    check = make_label_check(suspects=20, pairs=0)
    (chart,) = mislabelled.charts(numbers_of(make_evaluation("pets", "baseline", 1), labels=check))
    titles = [ax.get_title(loc="left") for ax in chart.figure.axes]
    assert titles[0] == "label: cat\nmodel: dog 90 %\ncat/000.jpg"
    assert len(titles) == 12
    assert "The first 12 of 20, " in chart.caption
    assert chart.table is not None
    assert chart.table["file"].tolist() == [image.file for image in check.suspects]


def test_copies_under_two_labels_are_beside_each_other() -> None:
    check = make_label_check(suspects=0, pairs=2)  # a third pair is not in the arrays
    (chart,) = mislabelled.charts(numbers_of(make_evaluation("pets", "baseline", 1), labels=check))
    titles = [ax.get_title(loc="left") for ax in chart.figure.axes]
    assert titles == [f"label: {name}\n{name}/{number}.jpg" for number in (0, 1) for name in ("cat", "dog")]
    assert chart.caption.endswith("The first 2 of 2.")
    assert mislabelled.charts(numbers_of(make_evaluation("pets", "baseline", 1))) == []
