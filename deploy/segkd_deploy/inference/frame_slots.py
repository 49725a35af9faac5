"""Frames that come at times of their own, put into the even slots of a video with a constant rate."""

from __future__ import annotations

# Browsers and cameras with a varying rate write 1000 and the like, which is the clock's rate and no picture's.
_CLOCK_FPS = 300.0
_EVEN_FPS = 30.0
# What a frame may stand still; a longer gap is a clock that jumped.
_LONGEST_GAP_S = 60.0


class FrameSlots:
    """How often each frame is written, so that the video is as long as its source.

    A frame that stands longer than a slot is repeated, one that comes more than a slot too soon is left out; frames at
    an even rate are each written once.

    Args:
        fps: what the source's header says, or None.
        default_fps: for a source that says nothing.

    Attributes:
        fps: slots per second.
        repeated: slots that were filled with the frame before.
        left_out: frames that got none.
    """

    def __init__(self, fps: float | None, default_fps: float) -> None:
        self.fps = default_fps if fps is None else _EVEN_FPS if fps > _CLOCK_FPS else fps
        self.repeated = 0
        self.left_out = 0
        self._slots = 0
        self._start_s: float | None = None
        self._shift_s = 0.0
        self._before_s = 0.0

    def next(self, time_s: float | None) -> tuple[int, bool]:
        """Place one frame.

        Args:
            time_s: when the source shows it; None if that is not known.

        Returns:
            How often the frame before it is written once more, and whether this one is written.
        """
        slot = self._slots if time_s is None else round(self._elapsed_s(time_s) * self.fps)
        if slot < self._slots - 1:
            self.left_out += 1
            return 0, False
        repeats = max(0, slot - self._slots) if self._slots else 0
        self.repeated += repeats
        self._slots += repeats + 1
        return repeats, True

    def note(self) -> str | None:
        """One line for people, if any frame was repeated or left out."""
        if not self.repeated and not self.left_out:
            return None
        return (
            f"frames do not come at an even rate: at {self.fps:g} frames per second {self.repeated} were repeated and "
            f"{self.left_out} left out, so that the overlay is as long"
        )

    def _elapsed_s(self, time_s: float) -> float:
        """Seconds since the first frame, without gaps that no camera makes."""
        if self._start_s is None:
            self._start_s = self._before_s = time_s
        gap_s = time_s - self._before_s
        if not -_LONGEST_GAP_S <= gap_s <= _LONGEST_GAP_S:
            self._shift_s += gap_s
        self._before_s = time_s
        return max(0.0, time_s - self._start_s - self._shift_s)
