"""Whether two fingerprints mean the same objective, and what differs in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST_CHANGES = 5  # that are named
VOLATILE = "changed by the trials"  # stands for the hash of data that the trials themselves change


def describe_change(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    """Say in one line what differs between two fingerprints: ``"cell changed; data y is new"``.

    Of many differences, as between two objectives of one name, the first are named.
    """
    changed = [f"{part} changed" for part in new if part in old and not _is_same(old[part], new[part])]
    added = [f"{part} is new" for part in new if part not in old]
    gone = [f"{part} is gone" for part in old if part not in new]
    said = [*changed, *added, *gone]
    if len(said) > _MOST_CHANGES:
        said = [*said[: _MOST_CHANGES - 1], f"{len(said) - _MOST_CHANGES + 1} more changes"]
    return "; ".join(said) or "nothing changed"


def matches(old: Mapping[str, str], new: Mapping[str, str]) -> bool:
    """Whether two fingerprints mean the same objective; volatile parts may have any value."""
    return old.keys() == new.keys() and all(_is_same(old[part], new[part]) for part in new)


def _is_same(old: str, new: str) -> bool:
    return old == new or VOLATILE in (old, new)


def mark_volatile(parts: Mapping[str, str], later: Mapping[str, str]) -> dict[str, str]:
    """Mark the data that is volatile in a later fingerprint of the same objects, or differs there.

    Code is never marked, even where it holds data that changes: its own changes must count.
    """
    return {
        part: VOLATILE if part.startswith("data ") and later.get(part, digest) != digest else digest
        for part, digest in parts.items()
    }
