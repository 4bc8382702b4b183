"""What a depth camera makes of exact depth: noise, steps, shadows, holes and flying pixels.

Structured light and stereo both measure the disparity between two eyes a baseline b apart (for structured light the
projector is the second eye), d = f b / z in pixels, and everything but the holes happens there:

- noise of sigma_d pixels, so of sigma_z = sigma_d z^2 / (f b) in depth, more at grazing angles, alike in neighbours;
- rounding to a part of a pixel;
- a shadow f b (1/near - 1/far) pixels wide at one side of whatever stands in front of something, where the second eye
  does not see the background;
- edges that shift by about a pixel, break off, and leave pixels that hang between front and back.

Left out: lens distortion, errors of calibration, glossy and transparent surfaces, light from outside, and the strip
beside the image that the second eye does not see (it is cut off where depth is aligned to a narrower colour image).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from scipy.ndimage import gaussian_filter, maximum_filter1d, minimum_filter1d
from scipy.special import ndtr

_NEIGHBOURS = [(dv, du) for dv in (-1, 0, 1) for du in (-1, 0, 1)]
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601
_STEEPEST = np.radians(89.0)  # keeps the noise at grazing angles finite; hardly a pixel there is not a hole


@dataclass(frozen=True, kw_only=True)
class DepthSensor:
    """A depth camera that triangulates; `STRUCTURED_LIGHT` and `STEREO` are two.

    Values without a source are our choice: nothing is published, or it differs from camera to camera.

    Raises:
        ValueError: The noise is less than rounding alone makes.
    """

    baseline: float
    """From the camera to its second eye, m; positive to the right, so that shadows fall to the left of things."""
    step_px: float
    """Disparities are multiples of this, pixels."""
    noise_px: float
    """Standard deviation of the disparity of a surface seen head on, rounding included, pixels."""
    patch_px: float
    """Neighbouring pixels err alike within about this far: standard deviation of the smoothing, pixels."""
    min_range: float
    """Nothing nearer is measured, m."""
    max_range: float
    """Nothing farther is measured, m."""
    grazing_noise: float = 1e-4
    """k of the noise k / sqrt(z) (a / (pi/2 - a))^2 added at angle a to the normal, m: Nguyen, Izadi and Lovell,
    "Modeling Kinect sensor noise for improved 3D reconstruction and tracking", 3DIMPVT 2012."""
    lateral_px: float = 0.8
    """Standard deviation of the shift of edges, pixels: Nguyen et al. 2012 (0.8 for a surface seen head on)."""
    jump_px: float = 0.5
    """Neighbours whose disparities differ by more are an edge, pixels; a table at 70 degrees from head on, 0.5 m away,
    differs by 0.4."""
    edge_loss: float = 0.15
    """Probability that a pixel at an edge is a hole."""
    flying: float = 0.1
    """Probability that a pixel at an edge lies between front and back."""
    grazing_from: float = float(np.radians(70))
    """Angle between ray and normal from which surfaces begin to be lost, rad."""
    grazing_to: float = float(np.radians(88))
    """Angle at which nothing is measured any more, rad."""
    dark_loss: float = 0.4
    """Probability that a black pixel is a hole; real ones absorb infrared, which colour only hints at."""
    dark_below: float = 0.15
    """Brightness, 0 to 1, below which pixels begin to be lost."""

    def __post_init__(self) -> None:
        if self.noise_px < self.step_px / np.sqrt(12):
            raise ValueError(
                f"noise_px is {self.noise_px}, but steps of {self.step_px} pixels alone make "
                f"{self.step_px / np.sqrt(12):.3g}; expected at least that."
            )

    def noise(
        self, depth: Float[np.ndarray, "*batch"], focal: float, angle: Float[np.ndarray, "*batch"] | float = 0.0
    ) -> Float[np.ndarray, "*batch"]:
        """Standard deviation of the depth of a surface, rounding included, m.

        Args:
            depth: Above 0, m.
            focal: Of the depth image, pixels.
            angle: Between ray and normal, rad.
        """
        return np.asarray(self.noise_px * depth**2 / (focal * abs(self.baseline)) + self._grazing(depth, angle))

    def shadow_px(self, near: float, far: float, focal: float) -> float:
        """Width of the shadow of something at depth `near` upon something at depth `far`, pixels (depths in m)."""
        return focal * abs(self.baseline) * (1 / near - 1 / far)

    def observed(
        self,
        depth: Float[np.ndarray, "H W"],
        K: Float[np.ndarray, "3 3"],
        rng: np.random.Generator,
        colour: UInt8[np.ndarray, "H W 3"] | None = None,
    ) -> Float[np.ndarray, "H W"]:
        """Depth as this sensor would give it, m; 0 is a hole. The same for the same state of the generator.

        Args:
            depth: Exact planar depth along the optical axis, m; 0 where nothing is.
            K: Intrinsics of this image, pixels.
            rng: Draws the noise.
            colour: RGB of the same pixels; without it nothing is too dark.
        """
        scale = float(K[0, 0]) * abs(self.baseline)  # disparity times depth, pixel m
        z = depth.astype(np.float32)  # single precision is enough by far, and twice as fast
        exact = np.divide(scale, z, out=np.zeros_like(z), where=z > 0)
        angle = _angle(exact, K)
        disparity = self._at_edges(exact, self._hidden(exact), rng)
        z = np.divide(scale, disparity, out=np.zeros_like(z), where=disparity > 0)
        # Rounding adds a variance of step^2 / 12 of its own; d^2 / scale turns metres into pixels.
        sigma = np.sqrt(self.noise_px**2 - self.step_px**2 / 12) + self._grazing(z, angle) * disparity**2 / scale
        steps = np.round((disparity + sigma * _patches(z.shape, self.patch_px, rng)) / self.step_px)
        # Grazing and dark surfaces are lost in patches, not pixel by pixel.
        lost = ndtr(_patches(z.shape, self.patch_px, rng)) < self._loss(angle, colour)
        valid = (disparity > 0) & (steps > 0) & ~lost
        result = np.divide(scale / self.step_px, steps, out=np.zeros(depth.shape, depth.dtype), where=valid)
        result[(result < self.min_range) | (result > self.max_range)] = 0
        return result

    def _grazing(self, depth, angle):
        """What a grazing view adds to the standard deviation, m; 0 without depth."""
        angle = np.minimum(angle, _STEEPEST)
        root = np.sqrt(np.where(depth > 0, depth, np.inf))
        return self.grazing_noise / root * (angle / (np.pi / 2 - angle)) ** 2

    def _loss(self, angle: Float[np.ndarray, "H W"], colour: UInt8[np.ndarray, "H W 3"] | None):
        """Probability that a pixel is lost because its surface is grazing or dark."""
        kept = 1 - ((angle - self.grazing_from) / (self.grazing_to - self.grazing_from)).clip(0, 1)
        if colour is not None:
            brightness = colour.astype(np.float32) @ _LUMA / 255
            kept *= 1 - self.dark_loss * (1 - brightness / self.dark_below).clip(0, 1)
        return 1 - kept

    def _hidden(self, disparity: Float[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
        """Where the second eye sees something else in front."""
        height, width = disparity.shape
        margin = int(np.ceil(disparity.max())) + 1
        # Column of each pixel in the second eye's image, whose nearest surface is kept.
        shifted = np.arange(width) - np.sign(self.baseline) * disparity
        column = np.round(shifted).astype(np.int64) + margin
        index = column + np.arange(height)[:, None] * (width + 2 * margin)
        front = np.zeros((height, width + 2 * margin), dtype=disparity.dtype)
        np.maximum.at(front.reshape(-1), index.reshape(-1), disparity.reshape(-1))
        # A surface that faces the second eye is stretched there; closing fills the gaps of one or two pixels.
        front = minimum_filter1d(maximum_filter1d(front, 3, axis=1), 3, axis=1)
        return front.reshape(-1)[index] > disparity + self.jump_px

    def _at_edges(
        self, disparity: Float[np.ndarray, "H W"], hidden: Bool[np.ndarray, "H W"], rng: np.random.Generator
    ) -> Float[np.ndarray, "H W"]:
        """Disparity with ragged edges, flying pixels and holes (0); where nothing was, nothing comes."""
        result = np.where(hidden, np.float32(0), disparity)
        v, u = np.nonzero(_jumps(disparity, self.jump_px) & (disparity > 0))
        shift = np.round(self.lateral_px * rng.standard_normal((2, len(v)))).astype(np.int64)
        at = _clipped(v + shift[0], u + shift[1], disparity.shape)
        edge = result[at]
        near = np.stack([disparity[_clipped(v + dv, u + du, disparity.shape)] for dv, du in _NEIGHBOURS])
        front, back = near.max(axis=0), np.where(near > 0, near, np.inf).min(axis=0)
        part = rng.random(len(v), dtype=np.float32)
        flying = (rng.random(len(v)) < self.flying) & ~hidden[v, u]
        edge = np.where(flying, back + part * (front - back), edge)
        result[v, u] = np.where(rng.random(len(v)) < self.edge_loss, 0, edge)
        return result


def _jumps(disparity: Float[np.ndarray, "H W"], least: float) -> Bool[np.ndarray, "H W"]:
    """Pixels on both sides of a jump of more than `least` pixels."""
    edges = np.zeros(disparity.shape, dtype=bool)
    across = np.abs(np.diff(disparity, axis=1)) > least
    edges[:, 1:] |= across
    edges[:, :-1] |= across
    down = np.abs(np.diff(disparity, axis=0)) > least
    edges[1:] |= down
    edges[:-1] |= down
    return edges


def _clipped(v: Int[np.ndarray, " n"], u: Int[np.ndarray, " n"], shape: tuple[int, ...]):
    return v.clip(0, shape[0] - 1), u.clip(0, shape[1] - 1)


def _angle(disparity: Float[np.ndarray, "H W"], K: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "H W"]:
    """Angle between each ray and the normal of the surface it meets, rad; 0 where nothing is.

    The inverse depth w of a plane is linear in the pixels, so with differences of w (or of the disparity, which is as
    good) the normal n = (fx w_u, fy w_v, w - (u - cx) w_u - (v - cy) w_v) is exact, and n . ray = w.
    """
    height, width = disparity.shape
    u = (np.arange(width) - K[0, 2]).astype(np.float32)
    v = (np.arange(height) - K[1, 2]).astype(np.float32)[:, None]
    fx, fy = np.float32(K[0, 0]), np.float32(K[1, 1])
    w_u, w_v = _slope(disparity, 1), _slope(disparity, 0)
    normal = np.sqrt((fx * w_u) ** 2 + (fy * w_v) ** 2 + (disparity - u * w_u - v * w_v) ** 2)
    ray = np.sqrt((u / fx) ** 2 + (v / fy) ** 2 + 1)
    cosine = np.divide(disparity, normal * ray, out=np.ones_like(disparity), where=disparity > 0)
    return np.arccos(cosine.clip(0, 1))


def _slope(values: Float[np.ndarray, "H W"], axis: int) -> Float[np.ndarray, "H W"]:
    """Difference per pixel: of the two sides the flatter one, so that an edge is not taken for a steep surface."""
    steps = np.diff(values, axis=axis)
    shape = list(values.shape)
    shape[axis] = 1
    wide = np.full(shape, np.inf, dtype=values.dtype)
    before, after = np.concatenate([wide, steps], axis=axis), np.concatenate([steps, wide], axis=axis)
    return np.where(np.abs(before) < np.abs(after), before, after)


def _patches(shape: tuple[int, ...], size: float, rng: np.random.Generator) -> Float[np.ndarray, "H W"]:
    """Normal noise of unit variance that is smooth over `size` pixels."""
    white = rng.standard_normal(shape, dtype=np.float32)
    if size <= 0:
        return white
    impulse = np.zeros(4 * int(np.ceil(size)) + 7)
    impulse[len(impulse) // 2] = 1
    gain = np.sum(gaussian_filter(impulse, size, truncate=2.0) ** 2)  # of the variance, along one axis
    # Around the border as on a torus, or it would be noisier there.
    return gaussian_filter(white, size, truncate=2.0, mode="wrap") / np.float32(gain)


STRUCTURED_LIGHT = DepthSensor(
    baseline=0.075,  # m; Kinect: Khoshelham and Elberink, Sensors 12 (2012), table of calibration
    step_px=1 / 8,  # the same: 2.85e-3 per m and step, which is an eighth of a pixel over f b
    noise_px=1 / 16,  # the same: half a step
    patch_px=1.0,
    min_range=0.35,  # m; PrimeSense Carmine 1.09, the short-range one
    max_range=3.5,  # m; data sheet of ASUS Xtion
)
"""Kinect 1, Xtion, Carmine: a projector of dots and one infrared camera."""

STEREO = DepthSensor(
    baseline=0.05,  # m; Intel RealSense D435, data sheet
    step_px=1 / 32,  # Intel, "Subpixel linearity improvement for RealSense depth camera D400 series"
    noise_px=0.08,  # Intel, "Tuning depth cameras for best performance": below 0.1 on a surface with texture
    patch_px=1.5,
    min_range=0.28,  # m; D435, data sheet
    max_range=3.0,  # m; D435, data sheet: its recommended range
    edge_loss=0.1,  # it matches windows, which smear more and lose less
    flying=0.2,
    dark_loss=0.2,  # a passive eye sees dark surfaces better than dots on them
)
"""RealSense D435: two infrared cameras and a projector of texture."""
