"""One module per chart: its numbers, its drawing and its words. `report.build.CHARTS` lists those of the report."""
