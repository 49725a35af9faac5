"""What a chip's TensorRT will say of an ONNX graph, found without a GPU and without TensorRT.

A rule is a function from a graph and a line of TensorRT versions to findings; ``RULES`` is all of them. The facts come
from NVIDIA's documents of each line and from compiling graphs with TensorRT-RTX; docs/tensorrt.md says which is which.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from segkd.ending.users_code import first_line
from segkd.errors import SegkdError, import_extra
from segkd.files.damage import describe_other_kind
from segkd.manifest import load_manifest
from segkd_deploy.chips import Chip, Line, chip_named
from segkd_export.lint.dla import check_dla
from segkd_export.lint.graph import Finding, LintGraph
from segkd_export.lint.rules import RULES

SEVERITIES = ("error", "warning", "info")
# Variants with unsigned activations, which no TensorRT takes.
CPU_SUFFIX = "-cpu"


@dataclass(frozen=True)
class LintReport:
    """Everything found in one graph for one chip and line.

    Attributes:
        file: the graph.
        chip: its chip.
        line: its TensorRT line.
        findings: errors first, then in the graph's order.
    """

    file: str
    chip: Chip
    line: Line
    findings: list[Finding]

    @property
    def passed(self) -> bool:
        """Whether nothing is an error."""
        return all(finding.severity != "error" for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        counts = Counter(finding.severity for finding in self.findings)
        return {
            "file": self.file,
            "chip": self.chip.name,
            "sm": self.chip.sm,
            "tensorrt": self.line.name,
            "passed": self.passed,
            "counts": {severity: counts[severity] for severity in SEVERITIES},
            "findings": [asdict(finding) for finding in self.findings],
        }


def lint_file(path: Path, chip: str, line: str | None = None, *, dla: bool = False) -> list[LintReport]:
    """Check a graph for a chip.

    Args:
        path: an ONNX file.
        chip: a key of ``segkd_deploy.chips.CHIPS``.
        line: a key of ``LINES`` that runs on the chip; ``all`` for each of them; None for the chip's default.
        dla: whether it is to run on the deep learning accelerator.

    Returns:
        One report per line.

    Raises:
        SegkdError: for a file that is no ONNX model or a damaged one, or an unknown chip or line.
        MissingExtra: if onnx is not installed.
    """
    target = chip_named(chip)
    lines = [target.line(name) for name in target.lines] if line == "all" else [target.line(line)]
    model = _load(path)
    try:
        return [lint_model(model, target, entry, dla=dla, file=str(path)) for entry in lines]
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise _damage(path, error) from error


def lint_artifact(
    folder: Path, chip: str, line: str | None = None, *, variants: Sequence[str] = (), dla: bool = False
) -> list[LintReport]:
    """Check the graphs of an artifact for a chip.

    Args:
        folder: the artifact folder.
        chip: a key of ``segkd_deploy.chips.CHIPS``.
        line: as in ``lint_file``.
        variants: which; all but those for CPUs if empty.
        dla: whether they are to run on the deep learning accelerator.

    Raises:
        SegkdError: for a folder that is no artifact, or an unknown variant, chip or line.
        MissingExtra: if onnx is not installed.
    """
    manifest = load_manifest(folder)
    names = list(variants) or [name for name in manifest.variants if not name.endswith(CPU_SUFFIX)]
    files = [folder / manifest.variant(name).file for name in names]
    return [report for file in files for report in lint_file(file, chip, line, dla=dla)]


def lint_model(model: Any, chip: Chip, line: Line, *, dla: bool = False, file: str = "model") -> LintReport:
    """Check an ``onnx.ModelProto`` for a chip and a line of TensorRT versions.

    Args:
        model: the model.
        chip: the chip.
        line: the line.
        dla: whether it is to run on the deep learning accelerator.
        file: how the report names it.
    """
    graph = LintGraph(model)
    findings = [finding for rule in RULES for finding in rule(graph, line)]
    findings += check_dla(graph, chip, line, wanted=dla)
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    return LintReport(file, chip, line, findings)


def _load(path: Path) -> Any:
    onnx = import_extra("onnx", "export")
    if not path.is_file():
        raise SegkdError(f"{path}: no such graph; name an ONNX file or an artifact folder")
    if (other := describe_other_kind(path)) is not None:
        raise SegkdError(f"{path} {other}")
    try:
        model = onnx.load(str(path))
    except Exception as error:  # protobuf's decoding errors share no base class with onnx's
        raise SegkdError(f"{path}: is no ONNX model ({first_line(error)}); copy it or export it again") from error
    if not model.graph.output:
        raise SegkdError(f"{path}: is no ONNX model (it has no outputs); export it again")
    return model


def _damage(path: Path, error: Exception) -> SegkdError:
    """The error for a graph that parses, but whose parts contradict each other."""
    onnx = import_extra("onnx", "export")
    try:
        onnx.checker.check_model(str(path))
    except Exception as found:  # the checker's words are the better ones, where it finds something
        error = found
    return SegkdError(f"{path}: is a damaged ONNX model ({first_line(error)}); copy it or export it again")
