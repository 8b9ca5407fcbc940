"""The live panel in a page that has lost the kernel, with a front end that is played."""

from pathlib import Path

import pytest

from optuna_nb import display

pytestmark = pytest.mark.browser

PLAY = """async source => {
  const signal = () => {
    const slots = [];
    const emit = value => slots.forEach(slot => slot(null, value));
    return { connect: slot => slots.push(slot), disconnect() {}, emit };
  };
  window.kernel = { statusChanged: signal(), disposed: signal(), connectionStatusChanged: signal() };
  const values = {
    panel: "played", head: '<b data-onb-clock="elapsed"></b>', state: "running", said: "", tabs: [], tab: "",
    controls: [["stop", "Stop", "Finish the trials in flight", false]], body: "", notify: false,
    clock: { elapsed: 60, running: true },
  };
  const model = { get: key => values[key], on() {}, send() {}, widget_manager: { kernel } };
  const module = await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  module.default.initialize({ model });
}"""


def test_without_a_connection_the_clock_stands_still_and_no_button_can_be_pressed(browser):
    page = browser.new_page()
    page.set_content('<div data-onb-panel="played"><div class="onb-static">saved</div></div>')
    page.evaluate(PLAY, (Path(display.__file__).parent / "live.js").read_text(encoding="utf-8"))
    clock, stop = page.locator("[data-onb-clock]"), page.get_by_role("button", name="Stop")
    page.wait_for_function("() => document.querySelector('[data-onb-clock]').textContent === '1 min 01 s'")
    assert stop.get_attribute("aria-disabled") == "false"
    page.evaluate("() => kernel.connectionStatusChanged.emit('connecting')")
    assert stop.get_attribute("aria-disabled") == "true"
    assert "No connection to the kernel" in page.locator(".onb-said").inner_text()
    stood = clock.inner_text()
    page.wait_for_timeout(2200)
    assert clock.inner_text() == stood
    page.evaluate("() => kernel.connectionStatusChanged.emit('connected')")
    assert stop.get_attribute("aria-disabled") == "false"
    assert page.locator(".onb-said").inner_text() == ""
    assert clock.inner_text() > stood
    page.close()
