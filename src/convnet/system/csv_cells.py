"""Text cells of CSV files that no spreadsheet runs as a formula."""

import re

from convnet.system.errors import printable


def _disarm(text: str) -> str:
    return "'" + text if re.match(r"'*[=+\-@\t\r]", text) else text


def _rearm(text: str) -> str:
    return text[1:] if re.match(r"'+[=+\-@\t\r]", text) else text


SCRIPT_ENDS = re.compile(r"<(?=!--|/?script)", re.IGNORECASE)
FORMULA_STARTS = tuple("=+-@'＝＋－＠")  # noqa: RUF001 - spreadsheets take the full-width signs too


def safe_text(text: str) -> str:
    """Return `text` so that no spreadsheet and no page runs it; the rule is in the module's docstring."""
    shown = SCRIPT_ENDS.sub(r"\\x3c", printable(text))
    return "'" + shown if shown.lstrip().startswith(FORMULA_STARTS) else shown
