"""The figures of one network, drawn once: the job store keeps them for runs in which it did not change."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from convnet.analysis.example_images import Examples
from convnet.analysis.feature_maps import draw_feature_maps
from convnet.analysis.figure_files import save_chart
from convnet.analysis.first_filters import first_filters
from convnet.analysis.grad_cam import draw_grad_cam
from convnet.analysis.kept_figures import bring_figures
from convnet.analysis.networks import Network, load_network
from convnet.jobs.predictions import Prediction
from convnet.report.charts.filters import filters_chart
from convnet.system.files import file_digest

GROUPS = ("filters", "maps", "heat")  # in the order of the page
Entries = dict[str, list[dict[str, Any]]]  # by group


@dataclass(frozen=True)
class NetworkDrawing:
    """All that decides the figures of a network, besides its weights.

    Attributes:
        network: its entry in the plan.
        examples: images for the feature maps.
        cases: images for Grad-CAM.
        test: its predictions of the test split, if it is an example of its kind.
        channels: how many channels of a layer are drawn.
        described: dataset.json.
    """

    network: Network
    examples: Examples
    cases: Examples
    test: Prediction | None
    channels: int
    described: Mapping[str, Any]

    def bring(self, model: Path, threads: int, destination: Path) -> Entries:
        """Fill `destination` with the figures, from the store or by running the network.

        Args:
            model: the saved network.
            threads: processor threads, whose number changes last bits.
            destination: folder of the explanations.

        Returns:
            The entries of figures.json.
        """
        draw = partial(self._draw, model)
        entries: Entries = bring_figures("explain", self._decides(model, threads), draw, destination)
        return entries

    def _decides(self, model: Path, threads: int) -> dict[str, Any]:
        cases = None if self.test is None else [self.cases.rows.tolist(), self.cases.members]
        return {
            "model": file_digest(model),
            "network": asdict(self.network),
            "arrays": self.described,
            "examples": [self.examples.rows.tolist(), self.examples.members],
            "cases": cases,
            "predictions": None if self.test is None else self.test.probabilities[self.cases.rows].tolist(),
            "settings": [self.channels, threads],
        }

    def _draw(self, path: Path, folder: Path) -> Entries:
        network, model = self.network, load_network(path)
        maps = draw_feature_maps(model, network, self.examples, self.channels, self.described, folder)
        entries: Entries = {"filters": [], "maps": [save_chart(maps, folder, "plots")], "heat": []}
        if self.test is not None:
            if found := first_filters(model):
                chart = filters_chart(found[1], found[0], network.name, self.described)
                entries["filters"].append(save_chart(chart, folder, "."))
            heat = draw_grad_cam(model, network.variant, self.cases, self.test, self.described, folder)
            entries["heat"].append(save_chart(heat, folder, "."))
        return entries
