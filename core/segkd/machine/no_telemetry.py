"""Switches that keep libraries from calling home; read by them when they are imported, so set before that.

What the user has set himself stays. Child processes inherit them, and a device runs this package too.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping

# Each is read by one library: onnxruntime (from 1.29 it keeps an identifier of the machine and uploads events),
# albumentations (asks its package index for a newer version), huggingface_hub (counts what is loaded with it).
SWITCHES: dict[str, str] = {
    "ORT_DISABLE_TELEMETRY": "1",
    "NO_ALBUMENTATIONS_UPDATE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}


def switch_off(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set every switch that the environment does not have yet.

    Args:
        environment: of this process.
    """
    for name, value in SWITCHES.items():
        environment.setdefault(name, value)
