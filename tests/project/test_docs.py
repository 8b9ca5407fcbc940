"""The pages in docs/ build, leave nothing out, and point at things that exist."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from IPython.core.inputtransformer2 import TransformerManager

import optuna_nb

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
COPIED = DOCS / "notebooks"  # made when the pages are built
PAGES = sorted(
    path
    for path in [*DOCS.rglob("*.md"), *ROOT.glob("*.md"), *(ROOT / "benchmarks").rglob("*.md")]
    if "_build" not in path.parts and COPIED not in path.parents
)
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
FENCE = re.compile(r"^(```+)(\S*).*?\n(.*?)^\1\s*$", re.MULTILINE | re.DOTALL)


def name_of(path):
    return str(path.relative_to(ROOT))


def prose(text):
    """Leave out code, in which brackets are no links."""
    return re.sub(r"`[^`\n]+`", "", FENCE.sub("", text))


def markdown_of(path):
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return text
    cells = json.loads(text)["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def anchors(path):
    """The ids of the headings, as a code host and MyST make them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", markdown_of(path)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", it.lower()).strip().replace(" ", "-") for it in headings}


def dead_links(path):
    text = prose(markdown_of(path))
    links = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"(?:src|srcset|href)=\"([^\"]+)\"", text)
    images = re.findall(r"^```\{(?:image|include)\} (\S+)", markdown_of(path), re.MULTILINE)
    for link in [*links, *images]:
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = unquote(link).partition("#")
        target = (path.parent / file).resolve() if file else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            yield link


@pytest.mark.parametrize("path", [*PAGES, *NOTEBOOKS], ids=name_of)
def test_no_link_within_the_repository_is_dead_in(path):
    assert list(dead_links(path)) == []


def test_a_dead_link_or_anchor_is_found(tmp_path):
    (tmp_path / "there.md").write_text("# One heading\n")
    page = tmp_path / "page.md"
    page.write_text("[a](there.md#one-heading) [b](gone.md) [c](there.md#gone) `[d](code.md)`\n")

    assert list(dead_links(page)) == ["gone.md", "there.md#gone"]


def test_every_public_name_is_on_the_page_of_the_api_and_no_other():
    text = (DOCS / "reference" / "api.md").read_text(encoding="utf-8")
    named = re.findall(r"^\.\. \w+:: optuna_nb\.(\w+)$", text, re.MULTILINE)

    assert sorted(named) == sorted(optuna_nb.__all__)


def test_every_extra_is_on_the_page_of_the_installation_and_no_other():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = re.findall(r"^\| `(\w+)` \|", (DOCS / "install.md").read_text(), re.MULTILINE)

    assert sorted(named) == sorted(extras)


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_every_file_and_target_that_a_page_names_is_there(path):
    text = path.read_text(encoding="utf-8")
    files = re.findall(r"`[^`\n]*?\b((?:tests|scripts|benchmarks|notebooks|docs)/[\w/.-]+\w)", text)
    targets = re.findall(r"`make ([\w -]+)`", text)
    known = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)

    assert [it for it in files if not (ROOT / it).exists() and not it.startswith("docs/_build")] == []
    assert [it for it in targets if not set(it.split()) <= set(known)] == []


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_every_python_example_of_a_page_is_valid(path):
    for _, language, code in FENCE.findall(path.read_text(encoding="utf-8")):
        if language == "python":
            ast.parse(TransformerManager().transform_cell(code))


def test_the_picture_of_the_records_shows_the_tables_that_are():
    command = [sys.executable, "scripts/draw_records.py", "--check"]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_citation_names_this_version():
    assert f"\nversion: {optuna_nb.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == optuna_nb.__version__


class Fetched(HTMLParser):
    """What a browser asks for when it opens a page."""

    def __init__(self):
        super().__init__()
        self.urls, self.ids = [], set()

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids.add(given.get("id"))
        if tag == "link" and given.get("rel") in ("canonical", "author", "next", "prev", "index", "search"):
            return
        if tag != "a":
            self.urls += [given[it] for it in ("src", "href", "data-src", "srcset") if given.get(it)]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The pages, built as `make docs` does, from a copy, so that two builds never meet."""
    pytest.importorskip("sphinx", reason="the extra `docs` is not installed")
    folder = tmp_path_factory.mktemp("site")
    for name in ("docs", "notebooks"):
        copy = ["cp", "-r", ROOT / name, folder / name]
        subprocess.run(copy, check=True)
    for path in [*ROOT.glob("*.md"), ROOT / "optuna_nb" / "error_index.md"]:
        copy = folder / path.relative_to(ROOT)
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(path.read_bytes())
    recipe = re.search(r"^docs:.*\n\t\$\(PYTHON\) (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    command = [sys.executable, *recipe.replace("docs/_build/html", "html").split()]
    built = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return folder / "html"


@pytest.mark.slow
def test_the_pages_build_without_a_warning_and_ask_no_other_host(site):
    asked = {}
    for path in site.rglob("*.html"):
        page = Fetched()
        page.feed(path.read_text(encoding="utf-8"))
        asked |= {url: path.name for url in page.urls if re.match(r"(https?:)?//", url)}
    for path in (site / "_static").rglob("*.css"):
        asked |= dict.fromkeys(re.findall(r"url\([\"']?(https?://[^)]+)", path.read_text()), path.name)

    assert len(list(site.rglob("*.html"))) > len(NOTEBOOKS) + 10
    assert asked == {}


@pytest.mark.slow
def test_each_verb_has_a_section_with_its_help_and_each_tutorial_its_page(site):
    from optuna_nb.cell.verbs import VERBS

    page = Fetched()
    page.feed((site / "reference" / "verbs.html").read_text(encoding="utf-8"))

    assert {f"tune-{verb}" for verb in VERBS} <= page.ids
    assert {path.stem for path in (site / "notebooks").glob("*.html")} == {path.stem for path in NOTEBOOKS}
