"""Settings that hold for every test and for the processes that tests start."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis.configuration import set_hypothesis_home_dir

# One thread: the networks of the tests are small, and barriers cost more than they bring on a busy machine. Set before
# torch is imported.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # albumentations asks its index for a newer version on import
os.environ["NO_COLOR"] = "1"  # messages are compared as plain text
os.environ.pop("FORCE_COLOR", None)

# The same examples in every run; nothing is written into the checkout.
set_hypothesis_home_dir(Path(tempfile.gettempdir()) / "segkd-hypothesis")
settings.register_profile("segkd", deadline=None, derandomize=True, database=None)
settings.load_profile("segkd")

# A shell without job control starts its background jobs with SIGINT ignored, and so would be every process that a test
# starts and interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
