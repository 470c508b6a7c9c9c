r"""Text cells of CSV files that no spreadsheet and no page runs.

Names of classes and files come from a user's archive. A spreadsheet runs a cell that begins like a formula, and
`dvc plots show` copies cells into a script element of its page. One rule covers both, and `plain_text` inverts it:

- a backslash is doubled, and every character that is not printable becomes an escape (`\t`, `\x1b`, `\u202e`);
- `<` before `script`, `/script` or `!--` becomes `\x3c`;
- a text whose first visible character is one of = + - @ (also full-width) or ' gets one ' in front.

References: OWASP, "CSV Injection"; HTML standard, "Restrictions for contents of script elements".
"""

import re

from convnet.system.errors import printable

FORMULA_STARTS = tuple("=+-@'＝＋－＠")  # noqa: RUF001 - spreadsheets take the full-width signs too
_SCRIPT = re.compile(r"<(?=!--|/?script)", re.IGNORECASE)
_ESCAPE = re.compile(r"\\(\\|[nrt]|x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})")


def safe_text(text: str) -> str:
    """Return `text` as a cell; the module's docstring states the rule."""
    cell = _SCRIPT.sub(r"\\x3c", printable(text.replace("\\", "\\\\")))
    return "'" + cell if cell.lstrip().startswith(FORMULA_STARTS) else cell


def plain_text(cell: str) -> str:
    """Return the text of which `safe_text` made `cell`."""
    return _ESCAPE.sub(lambda escape: escape[0].encode().decode("unicode_escape"), cell.removeprefix("'"))
