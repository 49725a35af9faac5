"""From painted parts to a photograph: texture, fog, shadows, light, lens and sensor."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from segkd.data.readers.cityscapes import LABEL_IDS
from segkd.data.street_scenes.canvas import Canvas
from segkd.data.street_scenes.colours import grey
from segkd.data.street_scenes.street import Street

Picture = NDArray[np.float32]


def render(canvas: Canvas, street: Street, label_ids: NDArray[np.uint8], hard: float) -> NDArray[np.uint8]:
    """Photograph a painted scene.

    Args:
        canvas: the painted parts.
        street: the perspective, for fog and shadows.
        label_ids: uint8 (height, width); the sky takes no fog.
        hard: strength of texture, fog, shadows, light and noise; 0 leaves flat colours, slightly blurred.

    Returns:
        uint8 RGB, (height, width, 3).
    """
    rows = np.arange(canvas.height_px, dtype=np.float32)[:, None]
    columns = np.arange(canvas.width_px, dtype=np.float32)[None, :]
    picture = canvas.colours() + (_texture(canvas, rows, columns) * np.float32(hard))[..., None]
    _add_fog(picture, canvas, street, label_ids, rows, hard)
    _cast_shadows(picture, canvas, street, hard)
    picture = _expose(picture, canvas, rows, columns, hard)
    return _take(picture, canvas, hard)


def _texture(canvas: Canvas, rows: Picture, columns: Picture) -> Picture:
    """Each pixel's deviation from its part's colour, in grey levels."""
    scale, uniform = canvas.scale, canvas.uniform
    fine = _value_noise(canvas, max(1, int(2 * scale)))
    cloudy = _value_noise(canvas, max(2, int(14 * scale)))
    across = np.sin(columns * np.float32(2 * math.pi / (uniform(4, 9) * scale)))
    stripes = across + np.sin(rows * np.float32(2 * math.pi / (uniform(3, 7) * scale)))
    # In the order of FINE, ROUGH, STRIPED, CLOUDY in canvas.py.
    maps = (fine * 0.6, fine + cloudy * 0.8, stripes * 0.8 + fine * 0.4, cloudy)
    chosen: Picture = np.choose(canvas.textures(), maps)
    return chosen * canvas.contrasts()


def _value_noise(canvas: Canvas, cell_px: int) -> Picture:
    """Smooth noise of unit variance at the corners of square cells."""
    corners = (max(2, canvas.height_px // cell_px + 2), max(2, canvas.width_px // cell_px + 2))
    values = canvas.rng.standard_normal(corners).astype(np.float32)
    smooth: Picture = cv2.resize(values, (canvas.width_px, canvas.height_px), interpolation=cv2.INTER_CUBIC)
    return smooth


def _add_fog(
    picture: Picture, canvas: Canvas, street: Street, label_ids: NDArray[np.uint8], rows: Picture, hard: float
) -> None:
    """Blend towards a light grey, most at the horizon and none at the camera; in place."""
    depth = np.clip((rows - street.horizon_y) / (street.height_px - street.horizon_y), 0, 1)
    density = np.float32(canvas.uniform(0, 0.45) * hard) * (1 - depth) ** 2
    fog = np.where(label_ids == LABEL_IDS["sky"], np.float32(0), density)
    picture += (np.array(grey(canvas.rng, 170, 225, 6), np.float32) - picture) * fog[..., None]


def _cast_shadows(picture: Picture, canvas: Canvas, street: Street, hard: float) -> None:
    """Darken 0 to 3 soft-edged slanted strips of the ground; in place."""
    uniform, width, bottom = canvas.uniform, street.width_px, street.height_px
    for _ in range(canvas.rng.integers(0, 4)):
        left, length, slant = uniform(-0.2, 1) * width, uniform(0.05, 0.4) * width, uniform(-0.6, 0.6) * width
        strip = [(left, street.horizon_y), (left + length, street.horizon_y)]
        strip += [(left + length + slant, bottom), (left + slant, bottom)]
        shadow = np.zeros((canvas.height_px, canvas.width_px), np.float32)
        cv2.fillPoly(shadow, [np.array(strip).astype(np.int32)], 1.0)
        shadow = cv2.GaussianBlur(shadow, (0, 0), 2 * canvas.scale)
        picture *= (1 - np.float32(uniform(0.2, 0.5) * hard) * shadow)[..., None]


def _expose(picture: Picture, canvas: Canvas, rows: Picture, columns: Picture, hard: float) -> Picture:
    """Exposure, colour cast, vignette, light from one side, and tone curve."""
    uniform, height, width = canvas.uniform, canvas.height_px, canvas.width_px
    gain = math.exp(uniform(-0.5, 0.35) * hard)
    cast = np.exp(canvas.rng.normal(0, 0.06 * hard, 3)).astype(np.float32)
    radius_squared = ((columns - width / 2) / width) ** 2 + ((rows - height / 2) / height) ** 2
    side_light = (columns / width - 0.5) * np.float32(uniform(-0.25, 0.25) * hard)
    picture *= cast * np.float32(gain)
    picture *= (1 - np.float32(0.25 * hard) * radius_squared + side_light)[..., None]
    gamma = math.exp(uniform(-0.3, 0.3) * hard)
    return np.asarray(255 * (np.clip(picture, 0, 255) / 255) ** np.float32(gamma), np.float32)


def _take(picture: Picture, canvas: Canvas, hard: float) -> NDArray[np.uint8]:
    """Lens blur, which mixes the classes' colours at borders, and sensor noise."""
    blurred = cv2.GaussianBlur(picture, (0, 0), canvas.uniform(0.4, 0.9) * canvas.scale)
    noise = canvas.rng.normal(0, 1, picture.shape).astype(np.float32)
    blurred += noise * np.float32(canvas.uniform(2, 9) * hard)
    photograph: NDArray[np.uint8] = np.clip(blurred, 0, 255).astype(np.uint8)
    return photograph
