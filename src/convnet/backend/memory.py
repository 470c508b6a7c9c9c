"""Advice when memory runs out."""

SIGNS = ("RESOURCE_EXHAUSTED", "OOM when allocating", "Out of memory", "out of memory")


def ran_out_of_memory(error: BaseException) -> bool:
    """Return whether an error of TensorFlow, JAX or Python means that memory ran out."""
    text = str(error)
    if "No space left" in text:  # TensorFlow reports a full disk as "resource exhausted" too
        return False
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"MemoryError", "ResourceExhaustedError"}) or any(sign in text for sign in SIGNS)


def memory_advice(batch_size: int | None) -> str:
    """Return the setting to change where memory ran out; None: in a prediction, whose batches are fixed."""
    if batch_size is None:
        return "set a smaller image_size, or close other programs"
    return f"set batch_size to {batch_size // 2}" if batch_size > 1 else "set a smaller image_size"
