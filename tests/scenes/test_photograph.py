"""From light to pixels: brightness follows the light, warm light is warm, noise is as strong as asked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from unihm.scenes.photograph import Light, developed, draw_light
from unihm.scenes.styles import STYLES, Style

STILL = Style(exposure=(0.7, 0.7), noise=(0.0, 0.0), blur=(0.3, 0.3), warmth=(0.0, 0.0))


def light(tint=(1.0, 1.0, 1.0)) -> Light:
    tint = np.array(tint)
    return Light(to_key=(0.0, 0.0, 1.0), to_fill=(1.0, 0.0, 0.5), key=0.6 * tint, fill=0.1 * tint, ambient=0.3 * tint)


def picture(shading, albedo, style: Style = STILL, seed: int = 0, tint=(1.0, 1.0, 1.0), gloss: float = 0.0):
    """Left half in one light or colour, right half in another."""
    halves = [np.broadcast_to(np.array(half, dtype=float), (40, 30, 3)) for half in (*shading, *albedo)]
    image = developed(
        np.concatenate(halves[:2], axis=1),
        np.concatenate(halves[2:], axis=1),
        np.full((40, 60), gloss),
        np.ones((40, 60), dtype=bool),
        light(tint),
        style,
        np.random.default_rng(seed),
    )
    return image[:, 5:25].reshape(-1, 3).mean(axis=0), image[:, 35:55].reshape(-1, 3).mean(axis=0), image


def test_shadow_is_darker_and_keeps_the_hue():
    lit, shaded, _ = picture(((0.9, 0.2, 0), (0.0, 0.2, 0)), ((0.8, 0.2, 0.2),) * 2)
    assert lit[0] > 1.3 * shaded[0]
    for colour in (lit, shaded):
        assert colour[0] > 2 * colour[1]
        assert colour[1] == pytest.approx(colour[2], abs=2)


def test_white_is_as_bright_as_the_exposure_says():
    # All white, seen head on: the brightest decile is everything, so that I = exposure before contrast.
    values = []
    for seed in range(30):
        white, _, _ = picture(((0.8, 0.0, 0),) * 2, ((1.0, 1.0, 1.0),) * 2, seed=seed)
        values.append(white.mean() / 255)
    # contrast about the middle grey: 0.5 + 0.2 c with c from 0.9 to 1.25
    assert 0.67 < min(values) < max(values) < 0.76


def test_warm_light_has_more_red():
    warm, _, _ = picture(((0.8, 0.2, 0),) * 2, ((0.7, 0.7, 0.7),) * 2, tint=(1.3, 1.0, 0.7))
    assert warm[0] > 1.07 * warm[1] > 1.14 * warm[2]


def test_highlights_are_added_where_things_shine():
    dull, shining, _ = picture(((0.5, 0, 0.0), (0.5, 0, 0.9)), ((0.1, 0.1, 0.4),) * 2, gloss=0.0)
    assert dull == pytest.approx(shining, abs=1)
    dull, shining, _ = picture(((0.5, 0, 0.0), (0.5, 0, 0.9)), ((0.1, 0.1, 0.4),) * 2, gloss=0.8)
    assert (shining > dull + 30).all()


def test_noise_has_the_strength_that_is_asked_for():
    style = replace(STILL, noise=(0.03, 0.03))
    _, _, image = picture(((0.5, 0.1, 0),) * 2, ((0.5, 0.5, 0.5),) * 2, style)
    assert image[:, 5:25].std() / 255 == pytest.approx(0.03, rel=0.15)


@pytest.mark.parametrize("name", STYLES)
def test_lights_come_from_where_the_style_says(name: str):
    style = STYLES[name]
    for seed in range(30):
        found = draw_light(style, 0.5, np.random.default_rng(seed))
        x, y, z = found.to_key
        low, high = style.light_elevation_deg
        assert low - 1e-6 <= np.degrees(np.arcsin(z)) <= high + 1e-6
        side = np.degrees(np.arctan2(y, x) - 0.5)
        low, high = style.light_side_deg
        assert low - 1e-6 <= (side - low) % 360 + low <= high + 1e-6
        assert (found.ambient > 0).all()
        assert found.lamps[0].shadow
