"""A box on a table whose every number is known, and what must not change a crop."""

from __future__ import annotations

import time

import numpy as np
import pytest
from cliport_builders import GREY, HIGH, LOW, RED, box_image, looking
from hypothesis import given, settings
from hypothesis import strategies as st

from unihm.cliport.crops import CHANNELS, MEASURES, Crops, crop, surface_normals, view_axes
from unihm.cliport.windows import SIZE

ABOVE = looking((0.05, 0.6, 1.0), np.pi / 2)
FRONT = looking((0.05, 0.0, 0.35), np.radians(30))


def facts(crops: Crops) -> dict[str, float]:
    return dict(zip(MEASURES, crops.measures[0].tolist(), strict=True))


def channel(crops: Crops, name: str) -> np.ndarray:
    return crops.images[0, CHANNELS.index(name)].astype(np.float64)


def test_measures_of_a_box_from_straight_above():
    image = box_image(ABOVE)
    told = facts(crop(**image.given()))
    pixel = 0.92 / 300  # m, on the top of the box
    assert told["right"] == pytest.approx(0.08 - 0.05, abs=pixel)
    assert told["away"] == pytest.approx(0.0, abs=pixel)  # the camera is over the middle of the box
    assert told["low"] == pytest.approx(0.08)
    assert told["high"] == pytest.approx(0.08)
    assert told["tall"] == pytest.approx(0.0, abs=1e-9)
    # Between the 2nd and the 98th percentile lie 96 % of a uniform length.
    assert told["long"] == pytest.approx(0.96 * 0.12, abs=pixel)
    assert told["wide"] == pytest.approx(0.96 * 0.10, abs=pixel)
    assert told["share"] == pytest.approx(np.log10(0.12 * 0.10 / pixel**2 / (240 * 320)), abs=0.02)
    assert told["image_right"] == pytest.approx(0.03 / pixel / 320, abs=0.5 / 320)
    assert told["image_down"] == pytest.approx(0.0, abs=0.5 / 240)
    assert told["window"] == pytest.approx(1.35 * 0.12 / pixel / 320, rel=0.03)
    assert told["border"] == told["top"] == 0
    assert [told[c] for c in ("red", "green", "blue")] == pytest.approx([c / 255 for c in RED])
    assert [told[f"red_{i}"] for i in range(3)] == [0, 0, 1]
    assert [told[f"green_{i}"] for i in range(3)] == [1, 0, 0]


def test_channels_of_a_box_from_straight_above():
    crops = crop(**box_image(ABOVE).given())
    mask = channel(crops, "mask") == 1
    # The longer edge of the box takes 1 / 1.35 of the crop, the shorter one 10 / 12 of that.
    assert mask.mean() == pytest.approx(1 / 1.35**2 * 10 / 12, abs=0.03)
    middle = (SIZE // 2, SIZE // 2)
    assert [channel(crops, name)[middle] for name in ("red", "green", "blue")] == pytest.approx(
        [c / 255 for c in RED], abs=1e-3
    )
    assert [channel(crops, name)[0, 0] for name in ("red", "green", "blue")] == pytest.approx(
        [c / 255 for c in GREY], abs=1e-3
    )
    assert (channel(crops, "valid") == 1).all()
    assert channel(crops, "height")[mask] == pytest.approx(0.08, abs=1e-4)
    assert channel(crops, "height")[~mask] == pytest.approx(0.0, abs=1e-4)
    assert channel(crops, "normal_up")[middle] == pytest.approx(1.0, abs=1e-3)
    # Along the top of the box `right` grows from -1/2 to 1/2 of its length, told in crops of 1.35 * 0.96 lengths.
    # The outer pixels' centres lie up to a pixel (a fortieth of the length) farther in.
    row = channel(crops, "right")[SIZE // 2][mask[SIZE // 2]]
    assert row[-1] - row[0] == pytest.approx(1 / (1.35 * 0.96), abs=0.04)
    assert np.all(np.diff(row) >= 0)
    column = channel(crops, "away")[:, SIZE // 2][mask[:, SIZE // 2]]
    assert column[0] - column[-1] == pytest.approx(10 / 12 / (1.35 * 0.96), abs=0.04)


def test_an_oblique_view_sees_two_faces():
    image = box_image(FRONT)
    crops = crop(**image.given())
    mask, height = channel(crops, "mask") == 1, channel(crops, "height")
    up, away = channel(crops, "normal_up"), channel(crops, "normal_away")
    front = mask & (height < 0.07) & (height > 0.012)
    top = mask & (height > 0.0795) & (channel(crops, "away") > channel(crops, "away")[front].max() + 0.1)
    assert front.sum() > 200
    assert top.sum() > 200
    assert np.median(away[front]) == pytest.approx(-1, abs=0.01)
    assert np.median(up[top]) == pytest.approx(1, abs=0.01)
    told = facts(crops)
    assert told["tall"] == pytest.approx(0.08, abs=0.006)
    assert told["long"] == pytest.approx(0.96 * 0.12, abs=0.004)
    assert LOW[1] < told["away"] < HIGH[1]


@settings(max_examples=8, deadline=None)
@given(yaw=st.floats(-np.pi, np.pi), x=st.floats(-2, 2), y=st.floats(-2, 2))
def test_where_the_world_has_its_origin_and_its_axes_changes_nothing(yaw, x, y):
    image = box_image(FRONT)
    plain = crop(**image.given())
    T = np.eye(4)
    T[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
    T[:2, 3] = x, y
    image.points_world = image.points_world @ T[:3, :3].T + T[:3, 3]
    image.T_world_camera = T @ image.T_world_camera
    moved = crop(**image.given())
    assert np.abs(moved.measures - plain.measures).max() < 1e-5
    assert np.abs(moved.images.astype(np.float32) - plain.images).max() < 4e-3  # half precision


def test_what_has_no_depth_is_marked_and_tells_nothing():
    image = box_image(FRONT)
    image.valid[:, :150] = False
    crops = crop(**image.given())
    blind = channel(crops, "valid") == 0
    assert blind.any()
    assert (crops.images[0, CHANNELS.index("valid") :, blind] == 0).all()
    assert (channel(crops, "red")[blind] > 0).any()


def test_beyond_the_image_there_is_nothing():
    image = box_image(looking((0.4, 0.0, 0.35), np.radians(30)))
    columns = np.flatnonzero(image.mask.any(axis=0))
    assert columns[0] == 0  # the box leaves the image on the left
    crops = crop(**image.given())
    beyond = crops.images[0, :, :, 0]
    assert (beyond == 0).all()
    assert facts(crops)["border"] > 0
    assert facts(crops)["image_right"] < -0.3


def test_normals_of_a_slope_are_those_of_its_formula():
    u, v = np.meshgrid(np.arange(40.0), np.arange(30.0))
    points = np.stack([0.002 * u, -0.002 * v, 0.5 * 0.002 * u + 0.25 * -0.002 * v], axis=-1)
    normal = np.array([-0.5, -0.25, 1.0])
    found = surface_normals(points, np.ones((30, 40), dtype=bool))
    assert np.abs(found[5:-5, 5:-5] - normal / np.linalg.norm(normal)).max() < 1e-3


@pytest.mark.parametrize("pitch", [0.0, 0.5, np.pi / 2])
def test_axes_of_the_view(pitch):
    assert np.allclose(view_axes(looking((0, 0, 1.0), pitch)), np.eye(3))


def test_several_proposals_one_by_one_and_none():
    image = box_image(FRONT)
    left = image.mask & (np.arange(320) < 165)
    given = image.given()
    both = crop(**{**given, "masks": np.stack([image.mask, left])})
    for i, mask in enumerate((image.mask, left)):
        alone = crop(**{**given, "masks": mask[None]})
        assert np.abs(both.images[i].astype(np.float32) - alone.images[0]).max() < 2e-3
        assert np.allclose(both.measures[i], alone.measures[0])
    assert len(crop(**{**given, "masks": np.zeros((0, 240, 320), dtype=bool)})) == 0


def test_a_proposal_without_depth_is_refused():
    image = box_image(FRONT)
    image.valid[image.mask] = False
    with pytest.raises(ValueError, match="Proposal 0 of 1 has no pixel with a depth"):
        crop(**image.given())


def test_speed_of_a_common_image():
    image = box_image(FRONT, height=480, width=640, focal=600)
    given = {**image.given(), "masks": image.mask[None].repeat(8, axis=0)}
    start = time.process_time()
    crop(**given)
    print(f"8 crops of 640 x 480: {1e3 * (time.process_time() - start):.0f} ms")
