"""Kill a tuning process thousands of times; say what was lost, torn or changed by it.

Half of the kills come at random times, half before or after a random SQL statement,
over every sampler. After each kill the file is compared with an uninterrupted run,
at the end of each study once more. Exits with 1 if anything differs.

    python scripts/prove_kills.py 3000
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from harness.campaign import Campaign
from harness.nursery import Nursery


def main() -> int:
    """Kill as often as the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kills", type=int, nargs="?", default=3000, help="how many (3000)")
    parser.add_argument("--seed", type=int, default=0, help="decides about the moments (0)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Nursery("harness.warmed", "torch") as nursery:
        campaign = Campaign(nursery, Path(folder), options.seed)
        tally = campaign.tally
        while tally.kills < options.kills:
            campaign.spread(min(options.kills, tally.kills + 1000))
            print(tally, flush=True)
    for name, count in sorted(tally.kills_of.items()):
        print(f"{count:6} kills  {name}")
    for finding in tally.findings:
        print(finding)
    return 0 if tally.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
