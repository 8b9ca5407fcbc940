"""Prints a command of the README, so that CI runs what a reader would type.

The command is the shell block right after a line ``<!-- command: NAME -->``.
Uses the standard library only: it runs before anything is installed.

    python3 scripts/readme_command.py test
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"
_BLOCK = re.compile(
    r"^<!-- command: (?P<name>[\w-]+) -->\n+```(?:bash|sh)\n(?P<body>.*?)^```$", re.DOTALL | re.MULTILINE
)


def commands(text: str) -> dict[str, str]:
    """Return the named shell blocks of a Markdown text.

    Raises:
        ValueError: A name occurs twice, or a marker has no shell block.
    """
    found = [(match["name"], match["body"].strip()) for match in _BLOCK.finditer(text)]
    named = dict(found)
    if len(named) != len(found) or len(found) != text.count("<!-- command:"):
        msg = "README.md: each <!-- command: NAME --> needs a name of its own and a shell block after it"
        raise ValueError(msg)
    return named


def main() -> None:
    """Print the command that the first argument names."""
    named = commands(README.read_text(encoding="utf-8"))
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in named:
        sys.exit(f"README.md has no command {name!r}; it has {', '.join(named) or 'none'}")
    print(named[name])


if __name__ == "__main__":
    main()
