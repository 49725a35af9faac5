from __future__ import annotations

from types import ModuleType, SimpleNamespace

import cv2
import pytest

from segkd.data.formats.opencv_log import silence


@pytest.mark.parametrize("place", ["top", "utils"])
def test_the_name_is_found_where_a_version_has_it(place: str) -> None:
    levels: list[int] = []
    opencv = ModuleType("cv2")
    named = SimpleNamespace(setLogLevel=levels.append)
    if place == "top":
        opencv.setLogLevel = levels.append  # type: ignore[attr-defined]
        opencv.utils = SimpleNamespace()  # type: ignore[attr-defined]
    else:
        opencv.utils = SimpleNamespace(logging=named)  # type: ignore[attr-defined]
    silence(opencv)
    assert levels == [0]


def test_a_version_without_either_name_is_used_as_it_is() -> None:
    silence(ModuleType("cv2"))


def test_the_installed_one_is_silent() -> None:
    silence(cv2)
    get_level = getattr(cv2, "getLogLevel", None) or cv2.utils.logging.getLogLevel
    assert get_level() == 0
