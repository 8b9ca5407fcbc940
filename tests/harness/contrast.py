"""Finds text that a reader could hardly see.

The contrast ratio is that of WCAG 2.2, success criterion 1.4.3. Text in an SVG
has its colour in ``fill``; the background is the nearest opaque one behind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Locator

_FIND = """
(root, least) => {
    const rgba = (text) => {
        const canvas = document.createElement('canvas');
        canvas.width = canvas.height = 1;
        const pen = canvas.getContext('2d', {willReadFrequently: true});
        pen.fillStyle = text;
        pen.fillRect(0, 0, 1, 1);
        return pen.getImageData(0, 0, 1, 1).data;
    };
    const luminance = ([r, g, b]) => {
        const [x, y, z] = [r, g, b].map((c) => {
            c /= 255;
            return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * x + 0.7152 * y + 0.0722 * z;
    };
    const background = (element) => {
        for (let e = element; e; e = e.parentElement) {
            const colour = rgba(getComputedStyle(e).backgroundColor);
            if (colour[3] > 250) return colour;
        }
        return [255, 255, 255, 255];
    };
    const weak = [];
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        const element = node.parentElement;
        if (!node.data.trim() || ['STYLE', 'SCRIPT', 'TITLE'].includes(element.tagName)) continue;
        if (!element.checkVisibility({opacityProperty: true, visibilityProperty: true})) continue;
        if (element.closest('.jp-OutputPrompt, :disabled')) continue;
        const style = getComputedStyle(element);
        const ink = rgba(element instanceof SVGElement ? style.fill : style.color);
        const [a, b] = [luminance(ink), luminance(background(element))].sort((x, y) => y - x);
        const ratio = (a + 0.05) / (b + 0.05);
        if (ratio < least) weak.push(`${node.data.trim()} (${ratio.toFixed(2)})`);
    }
    return weak;
}
"""


def weak_texts(locator: Locator, least: float = 4.5) -> list[str]:
    """Return the visible texts below a locator whose contrast is less than ``least``."""
    found = locator.evaluate(_FIND, least)
    assert isinstance(found, list)
    return [str(text) for text in found]
