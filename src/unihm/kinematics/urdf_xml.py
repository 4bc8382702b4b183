"""From the bytes of a URDF file to its XML elements, and from their attributes to checked values."""

from __future__ import annotations

import codecs
import math
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
from jaxtyping import Float

_LARGEST_FILE = 64 * 2**20
"""Bytes. The largest robot descriptions known to us have about 1 MB."""
_LARGEST_NUMBER = 1e9
"""Poses beyond this (metres, radians) leave no digits for a hand and overflow when multiplied."""
_BYTE_ORDER_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def read_robot(path: Path) -> ET.Element:
    """The <robot> element of a URDF file, without any outermost default namespace.

    A byte order mark decides the encoding; else the XML header does; else the file is UTF-8. Document type
    declarations are refused: nothing in a URDF needs one, and entities defined in it can expand without bound.

    Raises:
        ValueError: The file cannot be read, is no XML, or is something other than an expanded URDF.
    """
    if not path.is_file():
        raise ValueError("is a folder, expected a URDF file." if path.is_dir() else "does not exist.")
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise ValueError(f"has {path.stat().st_size} bytes, expected at most {_LARGEST_FILE} of a URDF.")
        text = _decode(path.read_bytes())
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}.") from error
    if not text.strip():
        raise ValueError("is empty, expected a <robot>.")
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ValueError("declares a document type (<!DOCTYPE>), which a URDF does not need; remove it.")
    try:
        robot = ET.fromstring(text)  # from text, so that a header naming another encoding has no effect any more
    except (ET.ParseError, ValueError) as error:
        raise ValueError(f"is not readable XML: {error}.") from error
    namespace, _, tag = robot.tag.rpartition("}")
    if tag != "robot":
        raise ValueError(f"is not a URDF: its outermost element is <{tag}>, expected <robot>.")
    for element in robot.iter():
        if namespace and element.tag.startswith(namespace + "}"):
            element.tag = element.tag[len(namespace) + 1 :]
        elif element.tag.startswith("{") and "xacro" in element.tag.partition("}")[0]:
            tag = element.tag.partition("}")[2]
            raise ValueError(f"has a <xacro:{tag}>; expand it first: xacro FILE.xacro > FILE.urdf.")
    return robot


def _decode(data: bytes) -> str:
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS if data.startswith(mark)), None)
    if encoding is None and data[:4] in (b"<\0?\0", b"\0<\0?"):  # UTF-16 without a mark
        encoding = "utf-16-le" if data[0] else "utf-16-be"
    if encoding is None:
        header = re.match(rb"""\s*<\?xml[^>]*?\sencoding\s*=\s*["']([^"']*)["']""", data[:1000])
        encoding = header[1].decode("ascii", "replace") if header else "utf-8"
        if encoding.lower().replace("_", "-") in ("utf-16", "utf16", "ucs-2", "utf-16-le", "utf-16-be"):
            encoding = "utf-8"  # the header was read byte by byte, so it is wrong about itself
    try:
        return data.decode(encoding)
    except LookupError as error:
        raise ValueError(f"names the encoding '{encoding}', which does not exist; expected UTF-8.") from error
    except ValueError as error:
        raise ValueError(f"is not in the encoding {encoding}: {error}.") from error


def only(element: ET.Element, tag: str, where: str) -> ET.Element | None:
    """The one child of that name, or none."""
    found = element.findall(tag)
    if len(found) > 1:
        raise ValueError(f"{where} has {len(found)} <{tag}>, expected one.")
    return found[0] if found else None


def attribute(element: ET.Element, key: str, where: str) -> str:
    """The text of an attribute that must be there and not empty."""
    value = element.get(key)
    if not value:
        raise ValueError(f"{where} has no attribute '{key}'.")
    return value


def numbers(
    element: ET.Element, key: str, count: int, where: str, *, largest: float = _LARGEST_NUMBER
) -> tuple[float, ...]:
    """`count` numbers of an attribute, of at most the given magnitude (itself included)."""
    text = attribute(element, key, where)
    try:
        # Python would also read 1_000.
        values = () if "_" in text else tuple(float(word) for word in text.split())
    except ValueError:
        values = ()
    if len(values) != count or not all(abs(v) <= largest for v in values):  # false for nan
        hint = ""
        if "," in text:
            hint = " Write decimal points, and separate numbers by spaces."
        elif "$" in text:
            hint = " Expand the file first: xacro FILE.xacro > FILE.urdf."
        expected = f"{count} finite number{'s'[: count > 1]}" if largest < math.inf else "a number"
        raise ValueError(f"{where}: '{key}' is '{text}', expected {expected}.{hint}")
    return values


def number(element: ET.Element, key: str, where: str, default: float, *, largest: float = _LARGEST_NUMBER) -> float:
    """One number of an attribute, or the default where there is no such attribute."""
    return numbers(element, key, 1, where, largest=largest)[0] if key in element.attrib else default


def origin(element: ET.Element, where: str) -> Float[np.ndarray, "4 4"]:
    """The <origin> of an element: xyz in metres, rpy about fixed axes in radians or quat_xyzw (URDF 1.1)."""
    T = np.eye(4)
    item = only(element, "origin", where)
    if item is None:
        return T
    where = f"{where}, <origin>"
    for key in item.attrib:
        if key not in ("xyz", "rpy", "quat_xyzw") and not key.startswith("{"):
            raise ValueError(f"{where} has the attribute '{key}', expected xyz, rpy or quat_xyzw.")
    if "xyz" in item.attrib:
        T[:3, 3] = numbers(item, "xyz", 3, where)
    if "rpy" in item.attrib and "quat_xyzw" in item.attrib:
        raise ValueError(f"{where} has both rpy and quat_xyzw, expected one of them.")
    if "rpy" in item.attrib:
        T[:3, :3] = _from_rpy(*numbers(item, "rpy", 3, where))
    elif "quat_xyzw" in item.attrib:
        xyzw = np.array(numbers(item, "quat_xyzw", 4, where))
        norm = float(np.linalg.norm(xyzw))
        if abs(norm - 1) > 1e-3:
            raise ValueError(f"{where}: quat_xyzw has length {norm:.4f}, expected a unit quaternion.")
        T[:3, :3] = _from_quaternion(*(xyzw / norm))
    return T


def _from_rpy(roll: float, pitch: float, yaw: float) -> list[list[float]]:
    cr, sr, cp, sp = math.cos(roll), math.sin(roll), math.cos(pitch), math.sin(pitch)
    cy, sy = math.cos(yaw), math.sin(yaw)
    return [
        [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
        [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
        [-sp, cp * sr, cp * cr],
    ]


def _from_quaternion(x: float, y: float, z: float, w: float) -> list[list[float]]:
    return [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
