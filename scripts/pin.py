"""Writes constraints.txt from the environment that the tests ran in.

Starts at the dependencies that pyproject.toml declares, extras included, and
follows what the installed distributions say they need. The result holds names
and versions only, so it means the same wherever packages come from.
"""

from __future__ import annotations

import sys
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
HEADER = "# Every version that the tests ran with. Written by `make pin`; names and versions only.\n"


def declared() -> list[Requirement]:
    """Return what pyproject.toml asks for: the build, the package and each extra."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = settings["project"]
    groups = [settings["build-system"]["requires"], project["dependencies"]]
    groups += project["optional-dependencies"].values()
    return [Requirement(line) for group in groups for line in group]


def installed() -> dict[str, str]:
    """Return the version of each installed distribution that the project needs.

    A requirement whose marker excludes this machine, or that is not installed
    (torch, mostly), is passed over.
    """
    versions: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    queue = [(requirement, "") for requirement in declared()]
    while queue:
        requirement, wanted_by_extra = queue.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": wanted_by_extra}):
            continue
        name = canonicalize_name(requirement.name)
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        versions[name] = distribution.version.partition("+")[0]
        for extra in ("", *requirement.extras):
            if (name, extra) not in seen:
                seen.add((name, extra))
                queue += [(Requirement(line), extra) for line in distribution.requires or ()]
    return versions


def main() -> None:
    """Write the file, or say on which lines it differs with ``--check``."""
    path = ROOT / "constraints.txt"
    lines = [f"{name}=={version}\n" for name, version in sorted(installed().items())]
    if "--check" not in sys.argv:
        path.write_text(HEADER + "".join(lines), encoding="utf-8")
        return
    known = set(path.read_text(encoding="utf-8").splitlines(keepends=True))
    missing = [line.strip() for line in lines if line not in known]
    sys.exit(f"not in constraints.txt: {', '.join(missing)}" if missing else 0)


if __name__ == "__main__":
    main()
