"""The drawings behind the rendered datasets: one file per family of objects, one for what surrounds them."""
