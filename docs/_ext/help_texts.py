"""The directive ``help-text``: what ``-h`` prints, taken from the parser itself when the pages are built."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from docutils import nodes
from docutils.parsers.rst import Directive

from optuna_nb.cell.autotune_line import autotune_parser
from optuna_nb.cell.options import tune_parser
from optuna_nb.cell.verbs import VERBS, verb_parser

if TYPE_CHECKING:
    from sphinx.application import Sphinx


class HelpText(Directive):
    """``{help-text} %%tune``, ``%autotune`` or ``verbs``."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, object]] = {}

    def run(self) -> list[nodes.Node]:
        """Make a block of text, or a section with one for each verb."""
        what = self.arguments[0]
        if what != "verbs":
            parser = {"%%tune": tune_parser, "%autotune": autotune_parser}[what]()
            return [block(parser.format_help())]
        made: list[nodes.Node] = []
        for verb in VERBS:
            section = nodes.section(ids=[f"tune-{verb}"], names=[f"%tune {verb}"])
            section += nodes.title("", f"%tune {verb}")
            section += block(verb_parser(verb).format_help())
            made.append(section)
        return made


def block(text: str) -> nodes.literal_block:
    """Show a text as it is, without colours."""
    return nodes.literal_block(text, text.rstrip(), language="text")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("help-text", HelpText)
    return {"parallel_read_safe": True}
