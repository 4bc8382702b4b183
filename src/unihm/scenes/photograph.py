"""From the light on every pixel to what a camera makes of it.

The scene is drawn white under two lamps, and every channel of that image means something: red is the diffuse light of
the key lamp with its shadows, green that of a fill lamp, blue the key lamp's highlights. With the surface's colour a,

    I = a (ambient + key red + fill green) + key gloss blue

in linear light; exposure, blur, noise, contrast and the sRGB curve follow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy.ndimage import gaussian_filter

from unihm.scenes.styles import Style
from unihm.simulation.ray_casting import Lamp

_GAMMA = 2.2  # about sRGB's
_FILL = (0.1, 0.45)  # of the key lamp's light
_HIGHLIGHT = 0.6
_ADAPTED = 0.5  # how far a camera's exposure follows what it sees: 0 not at all, 1 to the same brightness always
_CONTRAST, _SATURATION = (0.9, 1.25), (0.85, 1.2)
_GRAIN = 0.6  # pixels; noise is alike in neighbours after demosaicing
_CHROMA = 0.6  # of the noise is its own in every channel


@dataclass(frozen=True, kw_only=True)
class Light:
    """What a scene is lit by."""

    to_key: tuple[float, float, float]
    """Direction to the brightest lamp, world."""
    to_fill: tuple[float, float, float]
    """Direction to the other one."""
    key: Float[np.ndarray, " 3"]
    """Linear RGB that it gives to a white surface seen head on."""
    fill: Float[np.ndarray, " 3"]
    """The same of the other lamp."""
    ambient: Float[np.ndarray, " 3"]
    """Linear RGB that every white surface gets."""

    @property
    def lamps(self) -> tuple[Lamp, ...]:
        """Of the drawing whose channels are told apart."""
        return (
            Lamp(to_light=self.to_key, color=(1.0, 0.0, 0.0), highlight=(0.0, 0.0, 1.0)),
            Lamp(to_light=self.to_fill, color=(0.0, 1.0, 0.0), shadow=False),
        )


def draw_light(style: Style, azimuth: float, rng: np.random.Generator) -> Light:
    """The light of a scene whose camera stands at an azimuth (rad) around the vertical."""
    rise, turn = (
        np.radians(rng.uniform(*style.light_elevation_deg)),
        azimuth + np.radians(rng.uniform(*style.light_side_deg)),
    )
    other_rise, other_turn = rng.uniform(0.3, 1.2), turn + np.pi + rng.uniform(-1.2, 1.2)
    ambient, warmth = rng.uniform(*style.ambient), rng.uniform(*style.warmth)
    tint = np.array([1 + warmth, 1.0, 1 - warmth])
    own = np.clip(tint + rng.uniform(-0.06, 0.06, 3), 0.2, None)  # light from walls has their colour
    key = (1 - ambient) * tint
    return Light(
        to_key=_direction(rise, turn),
        to_fill=_direction(other_rise, other_turn),
        key=key,
        fill=rng.uniform(*_FILL) * key,
        ambient=ambient * own,
    )


def developed(
    shading: Float[np.ndarray, "H W 3"],
    albedo: Float[np.ndarray, "H W 3"],
    gloss: Float[np.ndarray, "H W"],
    subject: Bool[np.ndarray, "H W"],
    light: Light,
    style: Style,
    rng: np.random.Generator,
) -> UInt8[np.ndarray, "H W 3"]:
    """The photograph.

    Args:
        shading: The drawing under `Light.lamps`, 0 to 1.
        albedo: Colours of the surfaces, sRGB from 0 to 1.
        gloss: How much they shine, 0 to 1.
        subject: The pixels that the exposure is measured on.
        light: What shone.
        style: Exposure, blur and noise.
        rng: Draws these.
    """
    shading, albedo = shading.astype(np.float32), albedo.astype(np.float32)
    key, fill, ambient = (value.astype(np.float32) for value in (light.key, light.fill, light.ambient))
    linear = albedo**_GAMMA * (ambient + shading[..., :1] * key + shading[..., 1:2] * fill)
    linear += _HIGHLIGHT * (gloss.astype(np.float32) * shading[..., 2])[..., None] * key
    bright = float(np.percentile(linear[subject].max(axis=-1), 90)) if subject.any() else 1.0
    white = float((light.ambient + 0.8 * light.key).max())  # of a white sheet on the table
    bright = max(bright, 1e-3) ** _ADAPTED * white ** (1 - _ADAPTED)
    linear *= rng.uniform(*style.exposure) ** _GAMMA / bright
    blur = rng.uniform(*style.blur)
    linear = gaussian_filter(linear, (blur, blur, 0), truncate=3.0)
    image = linear.clip(0, 1) ** (1 / _GAMMA)
    image = 0.5 + (image - 0.5) * rng.uniform(*_CONTRAST)
    grey = image.mean(axis=-1, keepdims=True)
    image = grey + (image - grey) * rng.uniform(*_SATURATION)
    image += _noise(image.shape, rng.uniform(*style.noise), rng)
    return np.round(255 * image.clip(0, 1)).astype(np.uint8)


def _noise(shape: tuple[int, ...], sigma: float, rng: np.random.Generator) -> Float[np.ndarray, "H W 3"]:
    """Grain, partly alike in the three channels."""
    white = rng.standard_normal((*shape[:2], 4), dtype=np.float32)
    white = gaussian_filter(white, (_GRAIN, _GRAIN, 0), truncate=2.0)
    white /= white.std()
    return np.float32(sigma) * (np.sqrt(1 - _CHROMA**2) * white[..., 3:] + _CHROMA * white[..., :3]).astype(np.float32)


def _direction(elevation: float, azimuth: float) -> tuple[float, float, float]:
    x, y = np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth)
    return float(x), float(y), float(np.sin(elevation))
