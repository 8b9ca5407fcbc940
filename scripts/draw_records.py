"""Draw the tables of the records as docs/images/records.svg, from the tables themselves.

python scripts/draw_records.py           # write the picture
python scripts/draw_records.py --check   # fail if it is not what the tables say
"""

from __future__ import annotations

import sys
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from optuna_nb.storage.record_tables import RecordBase

if TYPE_CHECKING:
    from sqlalchemy import Table

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "records.svg"
COLUMNS = (
    ("experiments", "model_runs"),
    ("tuning_runs",),
    ("tuning_run_tags", "run_events", "metric_history", "run_status"),
)
LINE, HEAD, WIDTH, GAP, EDGE, BELOW = 17, 24, 190, 72, 10, 14
EDGES = 'stroke="#6b7785"'


def height(table: Table) -> int:
    """Return how many pixels a table takes."""
    return HEAD + LINE * len(table.columns) + 6


def box(table: Table, x: int, y: int) -> str:
    """Draw one table: its name, and its columns with PK and FK where they are keys."""
    rows = [
        f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{height(table)}" rx="4" fill="#fff" {EDGES}/>',
        f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEAD}" rx="4" fill="#e3ecf7" {EDGES}/>',
        f'<text x="{x + 8}" y="{y + 16}" font-weight="bold">{escape(table.name)}</text>',
    ]
    for k, column in enumerate(table.columns):
        middle = y + HEAD + LINE * k + 14
        mark = "PK" if column.primary_key else "FK" if column.foreign_keys else ""
        rows.append(f'<text x="{x + 8}" y="{middle}">{escape(column.name)}</text>')
        if mark:
            rows.append(
                f'<text x="{x + WIDTH - 8}" y="{middle}" text-anchor="end" fill="#5a6570">{mark}</text>'
            )
    return "\n".join(rows)


def picture() -> str:
    """Return the whole drawing."""
    tables = RecordBase.metadata.tables
    assert {name for column in COLUMNS for name in column} == set(tables)  # noqa: S101 - none left out
    places: dict[str, tuple[int, int]] = {}
    boxes = []
    bottom = 0
    for k, names in enumerate(COLUMNS):
        y = EDGE
        for name in names:
            places[name] = (EDGE + k * (WIDTH + GAP), y)
            boxes.append(box(tables[name], *places[name]))
            y += height(tables[name]) + BELOW
        bottom = max(bottom, y - BELOW + EDGE)
    arrows = [
        arrow(places, table.name, key.column.table.name, list(table.columns).index(key.parent))
        for table in tables.values()
        for key in sorted(table.foreign_keys, key=lambda key: key.parent.name)
    ]
    width = EDGE * 2 + 3 * WIDTH + 2 * GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {bottom}"'
        f' width="{width}" height="{bottom}"'
        ' font-family="ui-monospace, monospace" font-size="12" fill="#1c2733" role="img">\n'
        "<title>The tables of the records and what they point at</title>\n"
        '<defs><marker id="tip" markerWidth="9" markerHeight="9" refX="8" refY="4" orient="auto">'
        '<path d="M0,0 L8,4 L0,8 z" fill="#4a7fb5"/></marker></defs>\n'
        f'<rect width="{width}" height="{bottom}" rx="6" fill="#f7f9fb"/>\n'
        + "\n".join((*boxes, *arrows))
        + "\n</svg>\n"
    )


def arrow(places: dict[str, tuple[int, int]], source: str, target: str, row: int) -> str:
    """Draw a line from a column that is a foreign key to the head of the table that it points at."""
    x, y = places[source]
    to_x, to_y = places[target]
    y += HEAD + LINE * row + 10
    to_y += HEAD // 2
    if to_x == x:  # a table of the same column: round its right side
        way = f"M{x + WIDTH},{y} h22 V{to_y} h-20"
    else:
        way = f"M{x},{y} C{x - 50},{y} {to_x + WIDTH + 50},{to_y} {to_x + WIDTH + 2},{to_y}"
    return f'<path d="{way}" fill="none" stroke="#4a7fb5" stroke-width="1.3" marker-end="url(#tip)"/>'


def main() -> None:
    """Write the picture, or compare it with ``--check``."""
    drawn = picture()
    if "--check" not in sys.argv:
        PICTURE.write_text(drawn, encoding="utf-8")
    elif not PICTURE.exists() or PICTURE.read_text(encoding="utf-8") != drawn:
        sys.exit(f"{PICTURE.name} is not what the tables say: python scripts/draw_records.py")


if __name__ == "__main__":
    main()
