"""Labels of the reference frames, as the runtime of this machine gives them.

``python -m segkd_deploy.targets.predictions ARTIFACT --variant V --out FILE.npz`` writes the array ``labels``,
uint8 (N, height, width), at the size of the graph's labels.
"""

from __future__ import annotations

import argparse
import io
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# What numpy and zipfile raise for what is cut short, changed, or another kind of file; an array alone is a TypeError.
_DAMAGED = (
    *(OSError, ValueError, LookupError, EOFError, SyntaxError, TypeError, AttributeError),
    *(zipfile.BadZipFile, zlib.error),
)


def predict_reference(
    folder: Path, variant: str, *, runtime: str, provider: str, threads: int | None = None
) -> NDArray[np.uint8]:
    """Label the reference frames of an artifact.

    Raises:
        SegkdError: if there are none, or for an unknown variant or runtime.
        BackendMissing: if the runtime or its provider is not there.
    """
    from segkd_deploy.artifact import open_artifact
    from segkd_deploy.evaluate import label_frames
    from segkd_deploy.runners import open_runner

    artifact = open_artifact(folder)
    graph = artifact.graph(variant)
    with open_runner(graph, runtime, provider=provider, threads=threads, spec=artifact.spec()) as runner:
        return label_frames(runner, artifact.frames())


def read_labels(path: Path) -> NDArray[np.uint8]:
    """The labels of a file that ``write_labels`` wrote.

    Raises:
        SegkdError: if it is damaged, or not such a file.
    """
    import numpy as np

    from segkd.errors import SegkdError
    from segkd.files.small_files import one_line

    try:
        with np.load(path, allow_pickle=False) as arrays:
            labels: NDArray[np.uint8] = arrays["labels"]
    except _DAMAGED as error:
        raise SegkdError(f"{path}: are no labels ({one_line(error, 120)}); deploy again") from error
    return labels


def write_labels(path: Path, labels: NDArray[np.uint8]) -> None:
    """Write labels in one step."""
    import numpy as np

    from segkd.files import write_atomic

    content = io.BytesIO()
    np.savez_compressed(content, labels=labels)
    write_atomic(path, content.getvalue())


def main() -> None:
    """Label and write."""
    from segkd.errors import SegkdError

    parser = argparse.ArgumentParser(prog="python -m segkd_deploy.targets.predictions", description=__doc__)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--variant", required=True)
    parser.add_argument("--runtime", required=True)
    parser.add_argument("--provider", required=True)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    options = {name: getattr(arguments, name) for name in ("runtime", "provider", "threads")}
    try:
        labels = predict_reference(arguments.artifact, arguments.variant, **options)
    except SegkdError as error:
        print(f"segkd: {' '.join(str(error).split())}", flush=True)
        raise SystemExit(error.exit_code) from error
    write_labels(arguments.out, labels)
    print(f"{arguments.variant}: labels of {len(labels)} reference frames")


if __name__ == "__main__":
    main()
