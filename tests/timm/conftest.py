"""Runs in an environment of its own, which has torchvision: `make test-timm`."""

from __future__ import annotations

import importlib.util

from tests.distill.conftest import streets as streets

collect_ignore_glob = [] if importlib.util.find_spec("timm") else ["test_*.py"]
