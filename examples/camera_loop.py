"""An exported artifact in a camera's loop, without torch: labels of every frame, and whether it keeps up.

python examples/camera_loop.py artifact drive.mp4      # or a camera's number, as in: artifact 0
"""

from __future__ import annotations

import argparse
import time

import cv2
import numpy as np

from segkd_deploy import load


def main() -> None:
    """Label frames until the source ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("artifact")
    parser.add_argument("source", help="a video, or the number of a camera")
    options = parser.parse_args()

    source = int(options.source) if options.source.isdigit() else options.source
    capture = cv2.VideoCapture(source)
    if not capture.isOpened():
        raise SystemExit(f"{options.source}: OpenCV cannot open it; expected a video or the number of a camera")

    # `resize=True` takes frames of any size; an artifact of the camera's size (segkd export --frame) is faster.
    with load(options.artifact, resize=True) as model:
        frames, busy_s = 0, 0.0
        while True:
            there, frame = capture.read()
            if not there:
                break
            if model.color == "RGB":  # OpenCV gives BGR
                frame = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)

            start_s = time.perf_counter()
            labels = model(frame)  # uint8 (height, width), of the frame's size
            busy_s += time.perf_counter() - start_s
            frames += 1

            # In place of what your product does with the labels.
            shares = np.bincount(labels.ravel(), minlength=len(model.names)) / labels.size
            largest = int(shares.argmax())
            print(f"frame {frames}: {model.names[largest]} {shares[largest]:.0%}")
        if frames:
            print(f"{frames} frames, {1000 * busy_s / frames:.1f} ms each; {model.chosen}")


if __name__ == "__main__":
    main()
