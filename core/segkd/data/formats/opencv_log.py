"""OpenCV's own lines on stderr, switched off in every version of it."""

from __future__ import annotations

from types import ModuleType

_SILENT = 0


def silence(opencv: ModuleType) -> None:
    """What goes wrong is raised with the file's name; OpenCV's lines would only repeat it without.

    4.8 to 4.12 have ``setLogLevel`` at the top, later ones in ``utils.logging``. One that has neither goes on writing.

    Args:
        opencv: the module ``cv2``.
    """
    logging = getattr(getattr(opencv, "utils", None), "logging", None)
    set_level = getattr(opencv, "setLogLevel", None) or getattr(logging, "setLogLevel", None)
    if set_level is not None:
        set_level(_SILENT)
