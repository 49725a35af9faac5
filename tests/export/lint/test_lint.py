from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from segkd.cli import SUMMARIES, main
from segkd.errors import SegkdError
from segkd_deploy.chips import LINES, chip_named
from segkd_export.commands.lint import lint
from segkd_export.lint.graph import LintGraph
from segkd_export.lint.lint import LintReport, lint_file, lint_model
from tests.deploy.artifacts import make_artifact, make_graph
from tests.export.lint_cases import CASES, SIDE_PX, clean, kernel, model, node, per_channel, quantised, resized


def held(graph: onnx.ModelProto, chip: str = "orin", line: str | None = None, **options: Any) -> LintReport:
    target = chip_named(chip)
    return lint_model(graph, target, target.line(line), **options)


def rules(report: LintReport, severity: str = "error") -> list[str]:
    return [finding.rule for finding in report.findings if finding.severity == severity]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("line", ["10.3", "10.13", "11.4", "rtx-1.7"])
def test_each_fault_breaks_its_rule_and_no_other(name: str, line: str) -> None:
    case = CASES[name]
    chip = {"10.3": "orin", "10.13": "thor"}.get(line, "rtx40")
    assert set(rules(held(case.make(), chip, line))) == ({case.rule} if case.rule else set())


def test_a_finding_says_where_and_what_to_do() -> None:
    found = [entry for entry in held(quantised(3)).findings if entry.rule == "qdq-zero-point"]
    assert [(entry.node, entry.operator) for entry in found] == [
        ("quantizelinear_q", "QuantizeLinear"),
        ("dequantizelinear_image", "DequantizeLinear"),
    ]
    assert all(entry.message == "zero point is not zero" and "QInt8" in entry.advice for entry in found)


# --- Lines differ. ---


def test_cast_to_uint8_comes_from_float() -> None:
    by_line = {line: held(make_graph(), "orin", line) for line in ("8.6", "10.3", "11.4")}
    assert "uint8" in rules(by_line["8.6"]) and "uint8" in rules(by_line["10.3"], "warning")
    assert all("uint8" not in rules(by_line["11.4"], severity) for severity in ("error", "warning"))
    assert held(clean(), "orin", "8.6").passed


@pytest.mark.parametrize(("line", "warned"), [("8.6", True), ("10.3", True), ("10.13", False), ("11.4", False)])
def test_opset_beyond_the_documents(line: str, warned: bool) -> None:
    assert ("opset" in rules(held(quantised(), "orin", line), "warning")) is warned


@pytest.mark.parametrize(("line", "severity"), [("8.6", "error"), ("10.3", "warning"), ("11.4", "warning")])
def test_int64_at_the_border(line: str, severity: str) -> None:
    graph = model([node("ArgMax", "x", axis=1)], taken=(TensorProto.INT64, [1, 1, SIDE_PX, SIDE_PX]), opset=17)
    assert rules(held(graph, "orin", line), severity) == ["int64"]


def test_int64_constants_that_do_not_fit() -> None:
    graph = model(
        [node("Cast", "large", "f", to=TensorProto.FLOAT), node("Add", "x f")], {"large": np.array([2**40])}, opset=17
    )
    assert rules(held(graph, "orin", "8.6")) == ["int64"]
    assert held(graph, "orin", "10.3").passed
    ends = {"start": np.array([1]), "end": np.array([2**63 - 1])}
    assert held(model([node("Slice", "x start end")], ends, opset=17), "orin", "8.6").passed


def test_operators_have_a_first_version() -> None:
    graph = model([node("Gelu", "x")], opset=20)
    assert rules(held(graph, "orin", "8.6")) == ["operator"] and held(graph, "orin", "10.3").passed
    deformable = model([node("DeformConv", "x weights offsets")], {"weights": kernel(), "offsets": np.zeros(1)})
    assert "operator" in rules(held(deformable, "rtx40", "rtx-1.7"))
    assert "operator" not in rules(held(deformable, "rtx40", "11.4"))


@pytest.mark.parametrize(
    "graph",
    [
        model([node("ReduceMean", "x axes")], {"axes": np.array([1])}, opset=18),
        model([node("Split", "x", axis=2, num_outputs=1)], opset=18),
        model([node("Pad", "x pads value axes")], {"pads": np.array([1, 1]), "value": np.float32(0), "axes": [2]}),
        resized(axes=[2, 3]),
    ],
    ids=["reduce", "split", "pad", "resize"],
)
def test_forms_of_opset_18_are_new_to_8(graph: onnx.ModelProto) -> None:
    assert rules(held(graph, "orin", "8.6")) and held(graph, "orin", "10.3").passed


def test_what_precision_means() -> None:
    def said(graph: onnx.ModelProto, line: str, chip: str = "rtx40") -> str:
        return " ".join(entry.message for entry in held(graph, chip, line).findings if entry.rule == "precision")

    assert "in float32" in said(clean(), "11.4") and said(clean(), "8.6", "orin") == ""
    assert said(quantised(), "11.4") == "" and "by flags" in said(quantised(), "8.6", "orin")
    assert "its speed says nothing" in said(quantised(), "rtx-1.7")


# --- Shapes, sizes, weights. ---


def test_free_dimensions() -> None:
    assert rules(held(model([node("Relu", "x")], given=(TensorProto.FLOAT, [1, 3, "h", "w"])))) == ["shape"]
    batch = held(model([node("Relu", "x")], given=(TensorProto.FLOAT, ["n", 3, 8, 8])))
    assert batch.passed and "shape" in rules(batch, "info")


def test_large_tensors_and_outputs() -> None:
    logits = model([node("Relu", "x")], given=(TensorProto.FLOAT, [1, 19, 1024, 2048]))
    found = [entry for entry in held(logits).findings if entry.rule == "output-size"]
    assert [entry.message for entry in found] == ["159 MB leave the device for every call"]
    huge = model([node("Relu", "x")], given=(TensorProto.FLOAT, [1, 2048, 1024, 1024]), opset=17)
    assert set(rules(held(huge, "orin", "8.6"))) == {"size"} and held(huge).passed
    deep = model([node("Relu", "x")], given=(TensorProto.FLOAT, [1] * 9))
    assert set(rules(held(deep))) == {"rank"}


@pytest.mark.parametrize("bad", [np.float32("nan"), np.float16("inf"), np.float32("-inf")])
def test_weights_that_are_not_finite(bad: Any) -> None:
    graph = model([node("Relu", "x")], {"weights": np.array([1, bad, 2], bad.dtype)})
    assert rules(held(graph)) == ["weights"]


def test_scales_along_another_axis_are_a_warning() -> None:
    report = held(quantised(axis=1), "rtx40")
    assert report.passed and rules(report, "warning") == ["qdq-axis"]
    assert rules(held(quantised(), "rtx40"), "warning") == []
    assert rules(held(per_channel(), "rtx40"), "warning") == ["qdq-axis", "qdq-axis"]


def test_axes_that_fold_are_constants() -> None:
    nodes = [node("Add", "one one", "two"), node("ReduceMean", "x two")]
    assert held(model(nodes, {"one": np.array([1])}), "rtx40").passed


def test_control_flow_is_a_warning() -> None:
    branch = onnx.helper.make_graph([node("Relu", "x", "b")], "branch", [], [onnx.ValueInfoProto(name="b")])
    graph = model([node("If", "flag", "y", then_branch=branch, else_branch=branch)], {"flag": np.array(True)})
    assert rules(held(graph), "warning").count("control-flow") == 1


# --- DLA. ---


def half_network(*nodes: Any, **constants: Any) -> onnx.ModelProto:
    given = (TensorProto.FLOAT16, [1, 3, SIDE_PX, SIDE_PX])
    return model(list(nodes), {"half": np.ones(1, np.float16), **constants}, given=given, taken=(given[0], None))


def refusals(graph: onnx.ModelProto) -> list[str]:
    report = held(graph, "orin", "10.3", dla=True)
    assert rules(report) == []
    return [entry.message for entry in report.findings if entry.rule == "dla"]


def test_dla_takes_plain_layers() -> None:
    weights = kernel().astype(np.float16)
    convolution = node("Conv", "x weights", "c", pads=[1, 1, 1, 1])
    assert refusals(half_network(convolution, node("Relu", "c"), weights=weights)) == []
    scales = np.array([1, 1, 2, 2], np.float32)
    assert refusals(half_network(node("Resize", "x roi s", mode="linear"), s=scales, roi=np.zeros(0, "f4"))) == []


@pytest.mark.parametrize(
    ("operator", "attributes", "reason"),
    [
        ("MaxPool", {"kernel_shape": [9, 9]}, "window 9 is outside 1 to 8"),
        ("MaxPool", {"kernel_shape": [3, 3], "strides": [17, 17]}, "stride 17 is outside 1 to 16"),
        ("ArgMax", {"axis": 1}, "does not have this operator"),
        ("Softmax", {"axis": 5 - 6}, None),
    ],
)
def test_dla_limits(operator: str, attributes: dict[str, Any], reason: str | None) -> None:
    said = refusals(half_network(node(operator, "x", **attributes)))
    assert (not said) if reason is None else reason in said[0]


def test_dla_limits_of_convolution_and_resize() -> None:
    wide = node("Conv", "x weights", dilations=[36, 36], pads=[36, 36, 36, 36])
    assert "padding 36 is outside 0 to 31" in refusals(half_network(wide, weights=kernel().astype("f2")))[0]
    sizes = {"s": np.array([1, 1, 1.5, 1.5], np.float32), "roi": np.zeros(0, np.float32)}
    assert "24/16 is not a whole number" in refusals(half_network(node("Resize", "x roi s", mode="linear"), **sizes))[0]
    corners = node("Resize", "x roi s", mode="linear", coordinate_transformation_mode="align_corners")
    assert "align_corners" in refusals(half_network(corners, **sizes))[0]


def test_dla_that_is_not_there() -> None:
    for chip, line, message in (
        ("orin-nano", "10.3", "Jetson Orin Nano has no DLA"),
        ("thor", "10.13", "Jetson AGX Thor has no DLA"),
        ("orin", "10.13", "TensorRT 10.13 cannot use its DLA"),
    ):
        found = [entry for entry in held(clean(), chip, line, dla=True).findings if entry.rule == "dla"]
        assert [(entry.severity, entry.message) for entry in found] == [("error", message)]


def test_dla_needs_low_precision_and_fixed_shapes() -> None:
    free = model([node("Relu", "x")], given=(TensorProto.FLOAT, ["n", 3, 8, 8]))
    assert rules(held(free, "orin", "10.3", dla=True)) == ["dla", "dla"]
    said = [entry.message for entry in held(clean(), "orin", "10.3").findings if entry.rule == "dla"]
    assert said == ["5 of 6 nodes would not run on the DLA: Cast 3, Transpose 1, ArgMax 1"]


# --- Files and the command. ---


def test_graph_reader_knows_types_and_users() -> None:
    graph = LintGraph(clean())
    assert (graph.type_of("logits"), graph.shape_of("logits")) == ("FLOAT", (1, 4, SIDE_PX, SIDE_PX))
    assert [user.op_type for user in graph.users["best"]] == ["Cast"]
    assert graph.makers["logits"].op_type == "Conv" and graph.type_of("nothing") == "UNDEFINED"


def test_files_that_are_no_graphs(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no graph")
    for name, message in (("broken.onnx", "is no ONNX model"), ("gone.onnx", "no such graph")):
        with pytest.raises(SegkdError, match=f"{name}: {message}"):
            lint_file(tmp_path / name, "orin")


def test_all_lines_of_a_chip(tmp_path: Path) -> None:
    onnx.save(clean(), tmp_path / "graph.onnx")
    reports = lint_file(tmp_path / "graph.onnx", "orin", "all")
    assert [report.line.name for report in reports] == ["10.3", "8.6", "10.13", "11.4"]
    assert {report.line.name for report in lint_file(tmp_path / "graph.onnx", "thor")} <= set(LINES)


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[object, str, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main(["lint", *(str(word) for word in words)])
    captured = capsys.readouterr()
    return stop.value.code or 0, captured.out, captured.err


def test_command_prints_and_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lint.get_short_help_str(200) == SUMMARIES["lint"]
    folder = make_artifact(tmp_path / "artifact")
    code, out, _ = run(capsys, folder, "--chip", "orin")
    assert code == 0
    assert "Jetson AGX Orin (SM 8.7), TensorRT 10.3" in out and "warning uint8" in out and "Cast" in out
    code, out, _ = run(capsys, folder / "model.fp32.onnx", "--chip", "rtx40", "--tensorrt", "rtx-1.7", "--json")
    report = json.loads(out)[0]
    assert code == 0 and report["passed"] and report["counts"] == {"error": 0, "warning": 0, "info": 1}


def test_command_fails_on_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_artifact(tmp_path / "artifact")
    code, out, err = run(capsys, folder, "--chip", "orin", "--tensorrt", "8.6", "--json")
    findings = json.loads(out)[0]["findings"]
    assert code == 1 and err == f"segkd: lint found errors for orin: {folder}/model.fp32.onnx on TensorRT 8.6\n"
    assert findings[0]["severity"] == "error" and findings[0]["rule"] == "uint8"
    code, _, err = run(capsys, folder, "--chip", "orim")
    assert code == 2 and "did you mean 'orin'" in err
    code, _, err = run(capsys, folder, "--chip", "orin", "--variant", "int8")
    assert code == 2 and "no variant 'int8'" in err


def hostile() -> dict[str, tuple[bytes, str]]:
    """File -> its bytes and what is said of it."""
    good = clean().SerializeToString()
    short, kind = clean(), clean()
    short.graph.initializer[0].raw_data = b"\0" * 3
    kind.graph.initializer[0].data_type = 99
    text = clean()
    text.graph.node[0].attribute.append(onnx.AttributeProto(name="auto_pad", type=3, s=b"\xff"))
    text.graph.node.append(onnx.helper.make_node("Resize", [], [], mode=b"\xff\xfe"))
    empty_handed = clean()
    empty_handed.graph.node.append(onnx.helper.make_node("Cast", [], [], to=2))
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 1234\n"
    return {
        "cut": (good[: len(good) // 2], "no ONNX model .*; copy it or export it again"),
        "text": (b"hello world\n" * 9, "no ONNX model"),
        "nothing": (b"", "is empty: copy it again"),
        "pointer": (pointer, "is a Git LFS pointer, not the file itself: run `git lfs pull`"),
        "short": (short.SerializeToString(), "a damaged ONNX model .*; copy it or export it again"),
        "kind": (kind.SerializeToString(), "a damaged ONNX model"),
        "text attribute": (text.SerializeToString(), "a damaged ONNX model"),
        "no inputs": (empty_handed.SerializeToString(), "a damaged ONNX model"),
    }


@pytest.mark.parametrize("name", hostile())
def test_hostile_files_are_one_line(name: str, tmp_path: Path) -> None:
    data, message = hostile()[name]
    (tmp_path / "net.onnx").write_bytes(data)
    with pytest.raises(SegkdError, match=message) as caught:
        lint_file(tmp_path / "net.onnx", "orin", "all")
    assert str(caught.value).startswith(str(tmp_path / "net.onnx")) and len(str(caught.value)) < 600
