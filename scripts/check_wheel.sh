#!/usr/bin/env bash
# Builds the wheel and the sdist, has twine judge them, installs the wheel into an empty environment and uses it there.
#
#   scripts/check_wheel.sh [PYTHON [FOLDER]]
#
# PYTHON has the packages `build` and `twine` (default .venv/bin/python). What is built goes to FOLDER (default dist).
set -euo pipefail

python=$(command -v "${1:-.venv/bin/python}")
[[ $python == /* ]] || python=$PWD/$python
dist=$(mkdir -p "${2:-dist}" && cd "${2:-dist}" && pwd)
cd "$(dirname "$0")/.."
work=$(mktemp -d "${TMPDIR:-/tmp}/optuna-nb-wheel.XXXXXX")
trap 'rm -rf "$work"' EXIT
constraints=$PWD/constraints.txt

rm -f "$dist"/optuna_nb-*
"$python" -m build --outdir "$dist" . >"$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }
"$python" -m twine check --strict "$dist"/optuna_nb-*

"$python" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install -qq --disable-pip-version-check --constraint "$constraints" \
    "$dist"/optuna_nb-*.whl
"$work/venv/bin/python" -m pip --disable-pip-version-check check
cd "$work" # so that it is the installed package which is imported
"$work/venv/bin/python" -W error - <<'PYTHON'
import importlib.metadata, importlib.resources
import optuna_nb

assert optuna_nb.__version__ == importlib.metadata.version("optuna-nb")
assert (importlib.resources.files("optuna_nb") / "py.typed").is_file()
assert (importlib.resources.files("optuna_nb") / "display" / "live.js").is_file()
assert optuna_nb.explain("NB101").startswith("NB101: ")
for name in optuna_nb.__all__:
    try:
        assert hasattr(optuna_nb, name), name
    except optuna_nb.InvalidOptionError as error:  # it needs an extra, and says so
        assert error.code == "NB118", error
PYTHON
cat >"$work/first.ipy" <<'IPYTHON'
%load_ext optuna_nb
def _tune():
    get_ipython().run_cell_magic("tune", "bowl --trials 5 --wait --seed 1", "(trial.suggest_float('x', -1, 1)) ** 2")
_tune()
%tune best bowl
%tune list
IPYTHON
"$work/venv/bin/ipython" --no-banner --colors=NoColor "$work/first.ipy" >"$work/first.log" 2>&1 || { cat "$work/first.log"; exit 1; }
grep -q "bowl" "$work/first.log" || { cat "$work/first.log"; exit 1; }
[[ -f $work/optuna_nb.db ]]
echo "the wheel works in an empty environment: $(basename "$dist"/optuna_nb-*.whl)"
