"""Tables of the report's page."""

import html
from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]], texts: Sequence[int] = (0,)) -> str:
    """A table; the columns ``texts`` hold words and stand on the left, the others figures."""

    def line(tag: str, cells: Sequence[str]) -> str:
        marks = {"holds": " class='ok'", "FAILS": " class='fails'"}
        return "".join(
            f"<{tag}{' class=words' if place in texts else marks.get(cell, '')}>{html.escape(cell)}</{tag}>"
            for place, cell in enumerate(cells)
        )

    lines = "".join(f"<tr>{line('td', row)}</tr>" for row in rows)
    return f"<table><thead><tr>{line('th', head)}</tr></thead><tbody>{lines}</tbody></table>"
