"""What travels with a model: class names, and how a picture must be prepared for it."""

from typing import Any

from convnet.model_files import ModelFacts

RESIZE = (
    "stretched to the image size without cropping: halved by averaging 2x2 pixels as long as neither side falls below "
    "the result, then Pillow's bilinear filter with antialiasing"
)


def describe(facts: ModelFacts, temperature: float | None) -> dict[str, Any]:
    """Return the labels and the preprocessing of a model, ready for JSON.

    Args:
        facts: from `check_model`.
        temperature: fitted on validation images; None where it is not known.
    """
    height, width = facts.image_size
    return {
        "dataset": facts.dataset,
        "variant": facts.variant,
        "seed": facts.seed,
        "learnt_from": facts.pictures,
        "model_sha256": facts.sha256,
        "classes": list(facts.classes),
        "input": {
            "image_size": [height, width],
            "shape": ["batch", height, width, 3],
            "colour_order": "RGB",
            "range": [0, 255],
            "scaling": "none: it is inside the model",
            "orientation": "upright: EXIF rotation applied",
            "transparency": "laid over white",
            "resize": RESIZE,
        },
        "temperature": temperature,
        "temperature_use": "optional: softmax(ln(probabilities) / temperature)",
    }
