"""Advice when memory runs out."""


def out_of_memory_advice(error: BaseException, batch_size: int | None) -> str | None:
    """Say what to change if `error` means that memory ran out.

    Args:
        error: what a training raised, of TensorFlow, JAX or Python.
        batch_size: images per step when it was raised; None: it was raised in a prediction, whose batches are fixed.

    Returns:
        One sentence that names the batch size to try, where one helps, or None: the error is another.
    """
    text = str(error)
    if "No space left" in text:  # TensorFlow's word for a full disk is "resource exhausted" too
        return None
    names = {kind.__name__ for kind in type(error).__mro__}
    if not names & {"MemoryError", "ResourceExhaustedError"} and not any(
        sign in text for sign in ("RESOURCE_EXHAUSTED", "OOM when allocating", "Out of memory", "out of memory")
    ):
        return None
    if batch_size is None:
        return "memory ran out while predicting: set a smaller image_size, or close other programs"
    if batch_size <= 1:
        return "memory ran out with a single image per batch: set a smaller image_size"
    return f"memory ran out with batch_size {batch_size}: set batch_size to {batch_size // 2}"


def memory_advice(batch_size: int) -> str:
    """Return what to change where a process was killed for want of memory."""
    return f"set batch_size to {batch_size // 2}" if batch_size > 1 else "set a smaller image_size"
