"""An artifact folder, opened only if every byte is still the one that was exported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkd.errors import GateFailed, SegkdError
from segkd.files import read_json, sha256_file
from segkd.files.arrays import map_array
from segkd.folders import ArtifactFiles
from segkd.manifest import PRECISIONS, Manifest, load_manifest, verify_files
from segkd.manifest import Reference as RecordedReference
from segkd_deploy.graph_spec import CPU_PROVIDERS, GraphSpec
from segkd_deploy.onnx_file.agreement import require_agreement
from segkd_deploy.reference import Reference


@dataclass(frozen=True)
class Artifact:
    """A verified artifact folder.

    Attributes:
        folder: where it lies.
        manifest: its content.
        manifest_sha256: the hash of ``manifest.json``, which evidence carries.
    """

    folder: Path
    manifest: Manifest
    manifest_sha256: str

    @property
    def class_names(self) -> list[str]:
        """One name per class."""
        return self.manifest.label_space.names

    def spec(self) -> GraphSpec:
        """Shapes of the graphs."""
        frame, geometry = self.manifest.input, self.manifest.geometry
        labels_px = None if geometry is None else geometry.labels_px(frame)
        return GraphSpec(
            frame.batch,
            frame.height_px,
            frame.width_px,
            len(self.class_names),
            color=frame.color,
            yuv=frame.yuv,
            labels_px=None if labels_px == (frame.height_px, frame.width_px) else labels_px,
            content_px=None if geometry is None else geometry.content_px(),
        )

    def variants(self, asked: Sequence[str] = ()) -> list[str]:
        """The variants asked for, or all.

        Raises:
            SegkdError: for a variant that the artifact does not have.
        """
        for name in asked:
            self.manifest.variant(name)
        return list(asked) or list(self.manifest.variants)

    def variant_for(self, precision: str, runtime: str = "onnxruntime", provider: str = "cpu") -> str:
        """The variant of a precision that a runtime runs best.

        int8 has two forms: ``int8`` is all that TensorRT takes, ``int8-cpu`` is what CPUs have instructions for.

        Raises:
            SegkdError: if the artifact has no variant of this precision.
        """
        found = [name for name, variant in self.manifest.variants.items() if variant.precision == precision]
        if not found:
            precisions = sorted({variant.precision for variant in self.manifest.variants.values()})
            advice = f"make it with `segkd export RUN --precision {precision}`"
            if precision not in PRECISIONS:
                advice = f"there are {', '.join(PRECISIONS)}"
            raise SegkdError(
                f"{self.folder}: the artifact has no {precision} variant, only {', '.join(precisions)}; {advice}"
            )
        wanted = f"{precision}-cpu" if runtime == "onnxruntime" and provider in CPU_PROVIDERS else precision
        return wanted if wanted in found else found[0]

    def graph(self, variant: str) -> Path:
        """The file of a variant.

        Raises:
            SegkdError: for a variant that the artifact does not have.
        """
        return self.folder / self.manifest.variant(variant).file

    def frames(self) -> NDArray[np.uint8]:
        """The reference frames, uint8, of the shape ``spec().frames_shape(N)``.

        Raises:
            SegkdError: if the artifact has none, or they have another shape than the manifest says.
        """
        return self._array("frames", np.dtype(np.uint8), self.spec().frames_shape(1)[1:])

    def reference(self) -> Reference:
        """The reference frames with their labels.

        Raises:
            SegkdError: if the artifact has none, or they have other shapes than the manifest says.
        """
        size = self.spec().labels_shape(1)[1:]
        label = np.dtype(np.uint8)
        recorded = self._recorded()
        return Reference(
            frames=self.frames(),
            truth=self._array("truth", label, size),
            student=self._array("student", label, size),
            margins=self._array("margins", np.dtype(np.float16), size),
            teacher=self._array("teacher", label, size) if "teacher" in recorded.files else None,
            ids=recorded.ids if isinstance(recorded.ids, list) else list(read_json(self.folder / recorded.ids)),
            logits=self._array("logits", np.dtype(np.float16), (len(self.class_names), None, None))
            if "logits" in recorded.files
            else None,
            contrast_response=self._array("response", np.dtype(np.float32), ())
            if "response" in recorded.files
            else None,
        )

    def _recorded(self) -> RecordedReference:
        recorded = self.manifest.reference
        if recorded is None or not recorded.count:
            raise SegkdError(f"{self.folder}: the artifact has no reference frames; export it again with --reference 8")
        return recorded

    def _array(self, key: str, dtype: np.dtype[Any], shape: tuple[int | None, ...]) -> NDArray[Any]:
        """A recorded array; a side of ``shape`` that is None may have any length."""
        recorded = self._recorded()
        if key not in recorded.files:
            raise SegkdError(f"{self.folder}: the manifest's reference has no {key!r}; export it again")
        name = recorded.files[key]
        if name not in self.manifest.files:
            raise SegkdError(f"{self.folder}: {name} has no hash in the manifest; export it again")
        array = np.array(map_array(self.folder / name))
        expected = (recorded.count, *shape)
        fits = len(array.shape) == len(expected) and all(
            wanted in (None, found) for found, wanted in zip(array.shape, expected, strict=True)
        )
        if array.dtype != dtype or not fits:
            raise SegkdError(
                f"{self.folder / name}: expected {dtype} {expected}, found {array.dtype} {array.shape}; export it again"
            )
        return array


def open_artifact(folder: Path, *, graphs: bool = True) -> Artifact:
    """Open an artifact folder and hash every file of it.

    Args:
        folder: the artifact.
        graphs: whether its graphs are read and compared with the manifest, as whoever runs them must.

    Raises:
        SegkdError: if it is no artifact folder, or a graph contradicts the manifest.
        GateFailed: naming every file that is missing or has changed since the export.
    """
    manifest = load_manifest(folder)
    try:
        verify_files(folder, manifest)
    except SegkdError as error:
        raise GateFailed(str(error)) from error
    if graphs:
        require_agreement(folder, manifest)
    return Artifact(folder, manifest, sha256_file(folder / ArtifactFiles.MANIFEST))
