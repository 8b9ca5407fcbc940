#!/usr/bin/env bash
# The kernel-side tests of the panel on each ipykernel that people have.
#
#     scripts/prove_ipykernels.sh [PYTHON]
#
# Each version goes into a small environment of its own that sees the packages of PYTHON, as
# constraints.txt pins them. The version that PYTHON has is proved by the other tests.
set -euo pipefail

cd "$(dirname "$0")/.."
python=${1:-.venv/bin/python}
work=$(mktemp -d "${TMPDIR:-/tmp}/optuna-nb-kernels.XXXXXX")
trap 'rm -rf "$work"' EXIT
site=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')

here=$("$python" -c 'import ipykernel; print(ipykernel.__version__)')

for version in 6.31.0 7.3.0 7.4.0; do
    [[ $version != "$here" ]] || continue
    "$python" -m venv --without-pip "$work/$version"
    own=$("$work/$version/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    "$python" -m pip install -q --no-deps --target "$own" "ipykernel==$version"
    echo "$site" >"$own/packages-of-the-parent.pth" # later in sys.path, so our ipykernel comes first
    found=$("$work/$version/bin/python" -c 'import ipykernel; print(ipykernel.__version__)')
    [[ $found == "$version" ]] || { echo "wanted ipykernel $version, found $found" >&2; exit 1; }
    printf '\n==== ipykernel %s\n' "$version"
    # Before version 7 a kernel has no subshells, and the tests of clicks in a busy kernel skip. Kernels from
    # 7.0 to 7.3 lose requests: tests/harness/lost_requests.py has the remedy, docs/faq.md the advice. One failure
    # ends a try, as a kernel that is stuck would keep all others waiting, and the second has a fresh kernel.
    prove() {
        env -u OPTUNA_NB_NO_SKIPS "$work/$version/bin/python" -m pytest -q -x -m "slow or not slow" tests/display/test_panel.py
    }
    prove || { echo "ipykernel $version: a second try" >&2; prove; }
done
