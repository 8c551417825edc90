"""Tables as LaTeX (booktabs), one `table` environment each.

Text that is not Latin needs XeLaTeX or LuaLaTeX and a font that has it.
"""

from collections.abc import Iterable
from pathlib import Path

from contrastive_context.core import artifacts
from contrastive_context.tables.presentation import Table

_SPECIAL = str.maketrans(
    {
        "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
        "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
        "−": "$-$", "–": "--", "ε": r"$\varepsilon$", "→": r"$\to$", "\n": " ", "\r": " ",
    }
)  # fmt: skip


def escape(text: str) -> str:
    """Return text with LaTeX's special characters escaped, and a few symbols that pdfLaTeX's fonts lack as commands."""
    return text.translate(_SPECIAL)


def rendered(table: Table) -> str:
    """Return a table's environment."""

    def line(cells: Iterable[object]) -> str:
        return " & ".join(escape(str(cell)) for cell in cells) + r" \\"

    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape(table.caption)}}}",
        rf"\label{{{table.label.replace('_', '-').replace('+', 'p')}}}",
        rf"\begin{{tabular}}{{{'l' * len(table.columns)}}}",
        r"\toprule",
        line(table.columns),
        r"\midrule",
        *map(line, table.rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def write(path: Path, tables: Iterable[Table], notes: Iterable[str] = ()) -> None:
    """Write tables into one file, below what they need and some notes, a comment each."""
    comments = "".join(f"% {note}\n" for note in (r"needs \usepackage{booktabs}", *notes))
    with artifacts.atomic_path(path) as temporary:
        temporary.write_text(comments + "\n".join(map(rendered, tables)), encoding="utf-8")
