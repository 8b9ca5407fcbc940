"""How a magic's line is read: words, comments, flags, and mistakes in one line.

argparse does the work. What is ours: ``#`` begins a comment, a mistake is an
``InvalidOptionError`` that names the nearest flag instead of an exit, and help
is a value that the magic prints.
"""

from __future__ import annotations

import argparse
import difflib
import shlex
from typing import TYPE_CHECKING, Any, NoReturn

from optuna_nb.errors import InvalidOptionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class HelpAsked(Exception):  # noqa: N818  (a request, not an error)
    """Raised in place of a result where the line asks for help; holds the text."""


class LineParser(argparse.ArgumentParser):
    """An ArgumentParser for one line of a notebook.

    Args:
        prog: what the user types, as ``%tune best``.
        about: what it does, in a sentence or two.
        examples: lines for the end of the help text.
    """

    def __init__(self, prog: str, about: str, examples: Sequence[str] = ()) -> None:
        epilog = "examples:\n" + "\n".join(f"  {it}" for it in examples) if examples else None
        super().__init__(
            prog=prog,
            description=about,
            epilog=epilog,
            add_help=False,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self.color = False  # Python 3.14 would colour the help, which a notebook shows as codes
        self.add_argument("-h", "--help", action=_Help, help="show this text")

    def read(self, line: str) -> argparse.Namespace:
        """Parse a line.

        Raises:
            InvalidOptionError: something in the line is not understood.
            HelpAsked: the line asks for help.
        """
        known, unknown = self.parse_known_args(split_line(line))
        flags = [it for it in unknown if it.startswith("-")]
        if flags:
            flag = flags[0].partition("=")[0]
            meant = did_you_mean(flag, self.flags())
            msg = f"{self.prog} has no flag {flag}{meant or f'; `{self.prog} -h` lists them'}"
            raise InvalidOptionError(msg, code="NB101")
        if unknown:
            msg = f"{self.prog}: {unknown[0]!r} is one word too many; put quotes around what belongs together"
            raise InvalidOptionError(msg, code="NB102")
        return known

    def flags(self) -> list[str]:
        """Every flag, long and short."""
        return [flag for action in self._actions for flag in action.option_strings]

    def takes_value(self, flag: str) -> bool:
        """Whether a word must follow the flag."""
        return any(flag in action.option_strings and action.nargs != 0 for action in self._actions)

    def error(self, message: str) -> NoReturn:
        """Raise what argparse has to say, in place of leaving the program."""
        msg = f"{self.prog}: {message.removeprefix('argument ')}"
        raise InvalidOptionError(msg, code="NB104")


class _Help(argparse.Action):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(nargs=0, **kwargs)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        raise HelpAsked(parser.format_help().rstrip())


def split_line(line: str) -> list[str]:
    """Split a line into words; quotes hold words together and ``#`` begins a comment.

    Raises:
        InvalidOptionError: a quote is not closed.
    """
    words = shlex.shlex(_without_comment(line), posix=True, punctuation_chars=False)
    words.whitespace_split = True
    words.commenters = ""
    words.escape = ""  # a backslash is a letter of a Windows path
    try:
        return list(words)
    except ValueError:
        msg = f"a quote is not closed in: {line.strip()}"
        raise InvalidOptionError(msg, code="NB103") from None


def _without_comment(line: str) -> str:
    quote = ""
    for k, character in enumerate(line):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character == "#" and (k == 0 or line[k - 1].isspace()):
            return line[:k]
    return line


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Give "; did you mean X?" for the nearest known word, or nothing."""
    bare = {it.lstrip("-"): it for it in known}  # dashes, which all flags have, make none of them nearer
    nearest = difflib.get_close_matches(word.lower().lstrip("-"), bare, n=1, cutoff=0.6)
    return f"; did you mean {bare[nearest[0]]}?" if nearest else ""
