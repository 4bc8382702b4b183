"""What varies from scene to scene: how much stands there, the camera, its sensor, the light, the tables."""

from __future__ import annotations

from dataclasses import dataclass, replace

from unihm.scenes.depth_sensor import STEREO, STRUCTURED_LIGHT, DepthSensor

Range = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Style:
    """Ranges that scenes are drawn from, uniformly."""

    objects: tuple[int, int] = (3, 8)
    """Least and most free objects; beside a fixture up to three fewer."""
    fixture_share: float = 0.4
    """Share of scenes with a chest of drawers, a cabinet or a box with a lid."""
    lying_share: float = 0.3
    """Share of the cans, bottles, packages, blocks and cups that lie on a side; of flat boxes and blocks .3 more."""
    lettered_share: float = 0.75
    """Share of the packages with letters on them."""
    close_share: float = 0.45
    """Share of the objects that stand less than 2 cm from another."""
    reach: Range = (0.16, 0.34)
    """From the middle of the layout to the middle of an object at most, m."""
    twin_share: float = 0.3
    """Share of scenes in which two objects are of one family."""
    distance: Range = (0.45, 1.7)
    """From the middle of the things to the camera, m."""
    elevation_deg: Range = (20.0, 62.0)
    """Of the camera above the table, degrees."""
    roll_deg: float = 6.0
    """Largest turn about the optical axis, degrees."""
    focal: tuple[Range, ...] = ((525.0, 640.0), (640.0, 1100.0))
    """Pixels at a width of 640, one of the ranges: Kinect and RealSense; and images cut out of larger ones, as in
    YCB-Video (1067)."""
    filled: Range = (0.85, 1.5)
    """Distance over the one from which all things just fit into the image."""
    sensors: tuple[DepthSensor, ...] = (STRUCTURED_LIGHT, STEREO)
    """One of these takes the depth image."""
    light_elevation_deg: Range = (35.0, 80.0)
    """Of the brightest lamp, degrees."""
    light_side_deg: Range = (-180.0, 180.0)
    """Its direction around the vertical against the camera's, degrees."""
    ambient: Range = (0.25, 0.6)
    """Share of the light that comes from everywhere."""
    warmth: Range = (-0.12, 0.18)
    """By how much the light has more red and less blue than daylight."""
    exposure: Range = (0.75, 1.1)
    """Brightness of the brightest tenth of the table and the things, 1 is white."""
    noise: Range = (0.004, 0.05)
    """Standard deviation of the colour image, 1 is white."""
    blur: Range = (0.35, 0.9)
    """Standard deviation of the lens, pixels."""
    tables: tuple[str, ...] = ("wood", "wood", "plain", "plain", "checker", "marble", "weave", "speckle")
    """Prints of table tops, see `surface_print`; a name twice is twice as likely."""


STYLES: dict[str, Style] = {
    "standard": Style(),
    "apart": Style(close_share=0.0),
    "plain": Style(lying_share=0.45, lettered_share=0.4),
    "shifted": Style(
        distance=(0.7, 1.6),
        elevation_deg=(62.0, 82.0),
        focal=((430.0, 520.0),),
        sensors=(replace(STRUCTURED_LIGHT, noise_px=0.14, edge_loss=0.25, lateral_px=1.2),),
        light_elevation_deg=(18.0, 35.0),
        light_side_deg=(60.0, 110.0),
        ambient=(0.12, 0.25),
        warmth=(0.3, 0.5),
        exposure=(0.55, 0.75),
        noise=(0.03, 0.06),
        tables=("wood", "plain"),
    ),
}
"""Name -> what it is: ``standard`` is trained on; in ``apart`` there is room for a hand, 2 cm at least; in ``plain``
more packages lie and fewer have letters, as those whose print nobody knows; ``shifted`` is another workplace: a wide
camera high above the table, one warm dim lamp at its side, and a noisier sensor."""
