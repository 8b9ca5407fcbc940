"""The one style sheet of the panel and the static bundle.

A page tells in one of four ways that it is dark: JupyterLab by an attribute of
the body, VS Code by a class, a plain page only by what the reader prefers, and
a JupyterLab theme by its variables, which come first wherever they exist. A
view paints its own paper, so text and background always come from one palette.
Text colours keep a contrast of at least 4.5 on it.
"""

from __future__ import annotations

import re

_LIGHT = (
    "--onb-new:#57606a;--onb-running:#0a58a8;--onb-paused:#855300;--onb-stopping:#855300;"
    "--onb-stopped:#4b5563;--onb-completed:#176f33;--onb-failed:#b3261e;--onb-interrupted:#963f00;"
    "--onb-point:#76839b;--onb-accent:#0a58a8;--onb-grid:#e3e6ea;--onb-track:#e6e9ee;--onb-soft:#f5f6f8;"
    "--onb-paper:var(--jp-layout-color0,#fff);--onb-ink:var(--jp-content-font-color1,#1b1f24);--onb-muted:#59626e;--onb-shade:#1b1f2440"
)
_DARK = (
    "--onb-new:#aab4c0;--onb-running:#79b8ff;--onb-paused:#e3b341;--onb-stopping:#e3b341;"
    "--onb-stopped:#b6c0cc;--onb-completed:#6fcf7c;--onb-failed:#ff968c;--onb-interrupted:#f5a871;"
    "--onb-point:#8d99ab;--onb-accent:#79b8ff;--onb-grid:#33383f;--onb-track:#3a4048;--onb-soft:#1f2329;"
    "--onb-paper:var(--jp-layout-color0,#16181c);--onb-ink:var(--jp-content-font-color1,#e8eaed);--onb-muted:#a9b2bd;--onb-shade:#ffffff38"
)
_RULES = """
.optuna-nb {
  color:var(--onb-ink); background:var(--onb-paper);
  font:13px/1.45 var(--jp-ui-font-family,system-ui,sans-serif); font-variant-numeric:tabular-nums;
  max-width:860px; text-align:left; overflow-wrap:anywhere;
}
.onb-card {
  padding:12px 16px 14px; border:1px solid var(--onb-track); border-radius:8px;
  box-sizing:border-box; margin:2px 0;
}
.onb-head { display:flex; flex-wrap:wrap; align-items:baseline; gap:4px 12px }
.onb-chip {
  display:inline-flex; align-items:center; gap:6px; padding:1px 10px 1px 8px; border-radius:99px;
  font-weight:600; font-size:12px; color:var(--onb-state); border:1px solid var(--onb-state);
  white-space:nowrap;
}
.onb-name { font-size:16px; font-weight:650 }
.onb-quiet { color:var(--onb-muted) }
.onb-note { margin:8px 0 0; padding:4px 10px; border-left:3px solid var(--onb-track) }
.onb-note.onb-wrong { border-color:var(--onb-failed) }
.onb-facts { display:flex; flex-wrap:wrap; align-items:flex-end; gap:8px 32px; margin:12px 0 0 }
.onb-facts b { display:block; font-size:18px; font-weight:600; line-height:1.3 }
.onb-facts span { color:var(--onb-muted); font-size:12px }
.onb-facts .onb-main b { font-size:26px; line-height:1.15; color:var(--onb-accent) }
.onb-params { display:flex; flex-wrap:wrap; gap:4px 18px; margin:10px 0 0; color:var(--onb-muted) }
.onb-params b {
  color:var(--onb-ink); font-weight:400;
  font-family:var(--jp-code-font-family,ui-monospace,monospace); font-size:12.5px;
}
.onb-bar {
  display:flex; height:8px; margin:12px 0 4px; border-radius:4px; overflow:hidden;
  background:var(--onb-track);
}
.onb-bar i { display:block; height:100% }
.onb-bar .onb-complete { background:var(--onb-state) }
.onb-bar .onb-pruned {
  background:repeating-linear-gradient(135deg,var(--onb-point) 0 3px,var(--onb-track) 3px 5px);
}
.onb-bar .onb-failed { background:var(--onb-failed) }
.onb-under { display:flex; flex-wrap:wrap; justify-content:space-between; gap:0 16px; font-size:12px }
.onb-chart { display:block; max-width:100%; height:auto; margin:14px 0 0; font-family:inherit }
.onb-grid { display:grid; grid-template-columns:repeat(auto-fit,minmax(260px,1fr)); gap:4px 18px }
.onb-pairs { grid-template-columns:repeat(auto-fit,minmax(min(360px,100%),1fr)) }
.onb-tables { display:flex; flex-wrap:wrap; gap:14px 28px; margin-top:10px }
.onb-scroll {
  overflow-x:auto; flex:0 1 auto; max-width:100%;
  background:
    linear-gradient(90deg,var(--onb-paper) 40%,transparent) 0 0/40px 100% no-repeat local,
    linear-gradient(270deg,var(--onb-paper) 40%,transparent) 100% 0/40px 100% no-repeat local,
    linear-gradient(90deg,var(--onb-shade),transparent) 0 0/14px 100% no-repeat scroll,
    linear-gradient(270deg,var(--onb-shade),transparent) 100% 0/14px 100% no-repeat scroll;
}
.optuna-nb table.onb-table {
  border-collapse:collapse; margin:0; width:auto; font-size:12px; line-height:1.2; color:inherit; border:0;
}
.onb-table caption {
  text-align:left; font-weight:600; font-size:12px; padding:0 0 4px; color:var(--onb-ink);
  caption-side:top;
}
.onb-table caption span { font-weight:400 }
.optuna-nb .onb-table :is(th,td) {
  padding:3px 20px 3px 0; text-align:right; white-space:nowrap; border:0; max-width:none;
}
.optuna-nb .onb-table :is(th,td):last-child { padding-right:0 }
.optuna-nb .onb-table :is(th,td).onb-text { text-align:left }
.optuna-nb .onb-table thead th {
  color:var(--onb-muted); font-weight:400; border-bottom:1px solid var(--onb-track);
  vertical-align:bottom;
}
.optuna-nb .onb-table tbody tr { background:none; border-bottom:1px solid var(--onb-grid) }
.optuna-nb .onb-table tbody th { font-weight:400 }
.onb-s-failed { color:var(--onb-failed) }
.onb-s-pruned { color:var(--onb-muted) }
.onb-s-running { color:var(--onb-running) }
"""

_LIVE = """
.onb-covered>.onb-static { display:none }
.onb-controls { display:flex; flex-wrap:wrap; gap:6px; margin:12px 0 0 }
.onb-live .onb-button,.onb-live select,.onb-live input[type=search] {
  font:inherit; font-size:12px; line-height:1.4; color:var(--onb-ink); background:var(--onb-paper);
  border:1px solid var(--onb-point); border-radius:5px; padding:3px 10px; cursor:pointer; min-height:26px;
  box-sizing:border-box;
}
.onb-live .onb-button:hover { border-color:var(--onb-accent); color:var(--onb-accent) }
.onb-live .onb-button[aria-disabled=true] {
  color:var(--onb-muted); border-color:var(--onb-track); border-style:dashed; cursor:default;
}
.onb-live :focus-visible { outline:2px solid var(--onb-accent); outline-offset:2px }
.onb-tabs {
  display:flex; flex-wrap:wrap; gap:0 2px; margin:14px 0 0; border-bottom:1px solid var(--onb-track);
}
.onb-live .onb-tab {
  font:inherit; font-size:12.5px; color:var(--onb-muted); background:none; border:0; cursor:pointer;
  padding:5px 10px 6px; border-bottom:2px solid transparent; margin-bottom:-1px;
}
.onb-live .onb-tab:hover { color:var(--onb-ink) }
.onb-live .onb-tab[aria-selected=true] {
  color:var(--onb-accent); border-bottom-color:var(--onb-accent); font-weight:600;
}
.onb-body { padding-top:4px; min-height:120px; transition:opacity .15s }
.onb-body[aria-busy=true] { opacity:.55 }
.onb-tools { display:flex; flex-wrap:wrap; align-items:center; gap:6px 12px; margin:10px 0; font-size:12px }
.onb-tools label { display:inline-flex; align-items:center; gap:6px; color:var(--onb-muted) }
.onb-live .onb-table thead button {
  font:inherit; color:inherit; background:none; border:0; padding:0; cursor:pointer; text-align:inherit;
}
.onb-live .onb-table thead button:hover { color:var(--onb-accent); text-decoration:underline }
.onb-live .onb-table th[aria-sort]:not([aria-sort=none]) button { color:var(--onb-ink); font-weight:600 }
.onb-tall { max-height:420px; overflow:auto }
.onb-tall .onb-table thead th { position:sticky; top:0; background:var(--onb-paper) }
.optuna-nb .onb-table td.onb-words { white-space:normal; overflow-wrap:break-word }
.onb-columns { position:relative }
.onb-columns summary { cursor:pointer; color:var(--onb-ink) }
.onb-columns div {
  display:flex; flex-wrap:wrap; gap:4px 14px; max-height:180px; overflow:auto; padding:6px 0;
}
.onb-live pre.onb-code {
  font:12px/1.5 var(--jp-code-font-family,ui-monospace,monospace); margin:8px 0 0; padding:10px 12px;
  color:var(--onb-ink); background:var(--onb-soft); border-radius:6px; overflow:auto; max-height:440px;
  white-space:pre; tab-size:4;
}
.onb-live pre.onb-log { white-space:pre-wrap }
.onb-code ins { color:var(--onb-completed); text-decoration:none; font-weight:600 }
.onb-code del { color:var(--onb-failed); text-decoration:none; font-weight:600 }
.onb-code i { color:var(--onb-muted); font-style:normal }
.onb-live h4 { font-size:12.5px; font-weight:600; margin:16px 0 0; color:var(--onb-ink) }
.onb-live h4 span { font-weight:400; color:var(--onb-muted) }
@media(prefers-reduced-motion:reduce) {
  .onb-live * { transition:none !important; animation:none !important }
}
.onb-said:not(:empty) { padding-top:8px }
.onb-rows { max-width:100%; min-height:calc(40px + 21.4px*var(--onb-rows)) }
"""


def live_sheet() -> str:
    """Return the ``<style>`` element of the live panel, which stands beside ``sheet``."""
    return f"<style>{_squeezed(_LIVE)}</style>"


def sheet() -> str:
    """Return the ``<style>`` element. Every rule is scoped to ``.optuna-nb``."""
    plain = "body:not([data-jp-theme-light]):not(.vscode-light) .optuna-nb"
    dark = "body[data-jp-theme-light=false] .optuna-nb,.vscode-dark .optuna-nb"
    return (
        f"<style>.optuna-nb{{{_LIGHT}}}"
        f"@media(prefers-color-scheme:dark){{{plain}{{{_DARK}}}}}"
        f"{dark}{{{_DARK}}}{_squeezed(_RULES)}</style>"
    )


def _squeezed(rules: str) -> str:
    """Leave out the space that only the reader of this file needs; each output carries the sheet."""
    return re.sub(r"\s*([{};:,>])\s+|\s+([{}])", r"\1\2", rules).replace(";}", "}").strip()
