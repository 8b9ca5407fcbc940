"""What the documents say is so."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def tracked_files():
    """Return what git would put into a clone; the documents are judged before they are committed, too."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def readme_command(name):
    command = [sys.executable, "scripts/readme_command.py", name]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_the_readme_opens_with_the_two_commands_of_which_each_is_one_line():
    head = read("README.md").partition("\n## ")[0]

    assert [head.count(f"<!-- command: {name} -->") for name in ("open", "test")] == [1, 1]
    assert "jupyter lab notebooks/01_quickstart.ipynb" in readme_command("open")
    assert readme_command("test").rstrip().endswith("-m pytest -n 2 --dist worksteal")
    assert all(len(readme_command(name).splitlines()) == 1 for name in ("open", "test"))


def test_the_readmes_commands_name_extras_and_files_that_exist():
    import tomllib

    extras = tomllib.loads(read("pyproject.toml"))["project"]["optional-dependencies"]
    for name in ("open", "test"):
        command = readme_command(name)
        (asked,) = re.findall(r'"\.\[([\w,]+)\]"', command)
        assert set(asked.split(",")) <= set(extras)
        assert "-c constraints.txt" in command
        assert all((ROOT / path).exists() for path in re.findall(r"notebooks/\S+", command))


def test_every_test_that_the_readme_names_as_a_proof_is_there():
    names = re.findall(r"`pytest[^`]*?(tests/[\w/.]+)", read("README.md"))

    assert names
    assert [name for name in names if not (ROOT / name).exists()] == []


def cell_parser():
    from optuna_nb.cell.options import tune_parser

    return tune_parser()


def autotune_parser():
    from optuna_nb.cell.autotune_line import autotune_parser as make

    return make()


FLAG_PAGES = [("docs/reference/cell.md", cell_parser), ("docs/reference/autotune.md", autotune_parser)]


@pytest.mark.parametrize(("page", "make_parser"), FLAG_PAGES, ids=["tune", "autotune"])
def test_the_table_of_the_page_holds_every_flag_of_the_magic_and_no_other(page, make_parser):
    named = re.findall(r"^\| (.+?) \|", read(page), re.MULTILINE)
    flags = {flag for cell in named for flag in re.findall(r"`(--?[\w-]+)", cell)}

    assert len(flags) > 20
    assert flags == set(make_parser().flags())


def test_the_table_of_the_page_of_verbs_holds_every_verb_in_its_order_and_no_other():
    from optuna_nb.cell.verbs import VERBS

    assert re.findall(r"^\| `%tune (\w+)", read("docs/reference/verbs.md"), re.MULTILINE) == list(VERBS)


def test_every_file_of_the_package_is_in_the_architecture_and_no_other():
    listed = set(re.findall(r"^- `([\w/.]+\.py)`", read("ARCHITECTURE.md"), re.MULTILINE))
    package = ROOT / "optuna_nb"
    present = {str(path.relative_to(package)) for path in package.rglob("*.py")}
    present = {path for path in present if not (path.endswith("/__init__.py") and is_bare(package / path))}

    assert listed == present


def is_bare(path):
    """Whether a file holds a docstring and constants at most."""
    import ast

    body = ast.parse(path.read_text(encoding="utf-8")).body
    return all(isinstance(node, (ast.Expr, ast.Assign, ast.ImportFrom)) for node in body)


def test_the_way_of_a_value_is_told_on_one_page():
    assert len(read("ARCHITECTURE.md").partition("## Every file")[0].splitlines()) <= 60


# Character classes of one letter keep the patterns from finding themselves.
MACHINE_PATH = re.compile(r"/[r]oot/|/[h]ome/\w|/[U]sers/\w|/[w]ork/|[A-Z]:\\+[U]sers")
INDEX = re.compile(r"[p]ypi\.org|[p]ythonhosted|--(extra-)?[i]ndex-url|[d]ownload\.pytorch")


@pytest.mark.parametrize("pattern", [MACHINE_PATH, INDEX], ids=["path of a machine", "address of an index"])
def test_no_tracked_file_holds_a(pattern):
    found = []
    for path in tracked_files():
        text = path.read_text(encoding="utf-8", errors="replace")
        found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in pattern.finditer(text)]

    assert found == []


def test_the_constraints_hold_names_and_versions_only():
    lines = [line for line in read("constraints.txt").splitlines() if not line.startswith("#")]

    assert lines == sorted(lines, key=lambda line: line.partition("==")[0])
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[0-9][\w.]*", line)] == []


def test_the_constraints_pin_every_installed_distribution_that_the_extras_need():
    command = [sys.executable, "scripts/pin.py", "--check"]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert checked.stderr == ""
    assert checked.returncode == 0


def test_no_file_of_the_package_is_longer_than_400_lines():
    sizes = {path: len(path.read_text().splitlines()) for path in (ROOT / "optuna_nb").rglob("*.py")}

    assert {str(path): size for path, size in sizes.items() if size > 400} == {}
