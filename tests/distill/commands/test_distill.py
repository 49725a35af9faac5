from __future__ import annotations

import json
from pathlib import Path

import pytest

from segkd import cli
from tests.distill.commands.command_line import segkd, small
from tests.distill.training import save_teacher, write_folder


@pytest.fixture(scope="module")
def teacher(streets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_teacher(tmp_path_factory.mktemp("teacher") / "run", streets)


def test_help_and_summary() -> None:
    shown = segkd("distill", "--help").stdout
    assert cli.SUMMARIES["distill"] in shown and "--teacher" in shown and "--unlabelled" in shown


def test_a_run_with_two_methods_and_unlabelled_frames(streets: Path, teacher: Path, tmp_path: Path) -> None:
    labelled = ["--data", f"cityscapes:{streets},frames=:6", "--unlabelled", f"cityscapes:{streets},frames=6:"]
    result = segkd(
        "distill",
        *small(streets, tmp_path / "run"),
        *labelled,
        "--teacher",
        teacher,
        "--method",
        "cwd+kd:0.5",
        "--json",
    )
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert record["methods"] == [{"cwd": {"balance": 1.0}}, {"kd": {"weight": 0.5}}]
    assert record["data"]["val"] == f"cityscapes:{streets}" and record["teacher"] == str(teacher)
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert {"task/ce", "cwd/logits", "kd/logits"} <= set(rows[0])
    wrong = segkd("train", "--resume", tmp_path / "run")
    assert wrong.exit_code == 2 and "use `segkd distill`" in wrong.stderr


def test_without_a_method_the_default_is_said_and_taken(streets: Path, teacher: Path, tmp_path: Path) -> None:
    result = segkd("distill", *small(streets, tmp_path / "run"), "--teacher", teacher, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["methods"] == [{"cwd": {"balance": 1.0}}]
    assert "method: cwd, since none was named" in result.stderr
    assert "Without --method, cwd is used" in segkd("distill", "--help").stdout


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--method", "cwd"], "no teacher: give --teacher"),
        (["--teacher", "TEACHER", "--method", "cwdd"], "did you mean 'cwd'"),
        (["--teacher", "TEACHER", "--method", "cwd:much"], "must be a number"),
        (
            ["--teacher", "TEACHER", "--set", "methods=[{cwd: {temprature: 1}}]"],
            "methods.0.cwd.temprature: unknown hyper-parameter",
        ),
        (["--teacher", "/nowhere/run", "--method", "cwd"], "no run folder /nowhere/run"),
        (["--teacher", "pspnet-r18", "--method", "cwd"], "give --teacher-weights FILE|NAME"),
        (
            ["--teacher", "TEACHER/student.safetensors", "--method", "cwd"],
            "--teacher MODEL --teacher-weights TEACHER/student.safetensors (it fits quickstart-",
        ),
        (["--teacher", "TEACHER", "--method", "cwd", "--unlabelled", "images:/nowhere"], "no folder /nowhere"),
        (
            ["--teacher", "TEACHER", "--method", "cwd", "--unlabelled", "DATA,frames=:4", "--batch", "1"],
            "needs 2 images",
        ),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    streets: Path, teacher: Path, tmp_path: Path, extra: list[str], message: str
) -> None:
    words = [word.replace("TEACHER", str(teacher)).replace("DATA", f"cityscapes:{streets}") for word in extra]
    result = segkd("distill", *small(streets, tmp_path / "run"), *words)
    assert result.exit_code == 2, result.output
    message = message.replace("TEACHER", str(teacher))
    assert message in result.stderr.splitlines()[-1] and "Traceback" not in result.output
    assert result.stdout == "" and list(tmp_path.iterdir()) == []


def test_a_teacher_of_other_classes_is_one_line(teacher: Path, tmp_path: Path) -> None:
    other = write_folder(tmp_path / "other")
    words = ["--data", f"folder:{other}", "--teacher", teacher, "--method", "cwd"]
    result = segkd("distill", *small(other, tmp_path / "run"), *words)
    assert result.exit_code == 2 and not (tmp_path / "run").exists()
    assert result.stderr.splitlines()[-1] == (
        f"segkd: teacher {teacher} has 19 classes, the data 2: the data have no road, sidewalk, building, fence, pole, "
        "traffic light, traffic sign, vegetation and 10 more; the teacher has no floor; say with teacher.class_map "
        "which class of the data each of the teacher's becomes (NAME: NAME, or NAME: null to leave it out)"
    )
