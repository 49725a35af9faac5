"""`segkd data`, through the program's entry point."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from segkd.cli import SUMMARIES, main
from segkd.data import open_dataset
from segkd.data.formats.decode import read_rgb
from tests.core.data.files import cityscapes, cut_short, photo, save


@pytest.fixture
def run(capsys):
    """Run the command line; gives (exit code, stdout, stderr)."""

    def call(*args: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as exit_:
            main([str(arg) for arg in args])
        out, err = capsys.readouterr()
        return int(exit_.value.code or 0), out, err

    return call


def test_synth_then_check(run, tmp_path) -> None:
    tree = tmp_path / "scenes"
    small = ["--train", 3, "--val", 2, "--imgsz", "32x64", "--seed", 4]
    code, out, err = run("data", "synth", "--out", tree, *small)
    assert (code, err) == (0, "")
    assert out == f"wrote 3 train + 2 val street scenes of 32x64: cityscapes:{tree}\n"
    code, out, _ = run("data", "synth", "--out", tree, *small, "--json")
    assert code == 0
    assert json.loads(out) == {
        "data": f"cityscapes:{tree}",
        "train": 3,
        "val": 2,
        "height_px": 32,
        "width_px": 64,
        "seed": 4,
        "written": False,
    }
    code, out, err = run("data", "check", f"cityscapes:{tree}")
    assert (code, err) == (0, "")
    first, *notes, last = out.splitlines()
    assert first == "found: *_gtFine_labelIds.png, as distributed"
    assert last == f"cityscapes:{tree}: 3 train + 2 val images, no problems"
    assert all(note.startswith("note: ") for note in notes)
    assert any("have no pixel in val" in note for note in notes)
    assert any("val has 2 images" in note for note in notes)
    assert open_dataset(f"cityscapes:{tree}").read(0).image.shape == (32, 64, 3)


def test_check_prints_each_problem_and_exits_2(run, tmp_path) -> None:
    tree = tmp_path / "scenes"
    run("data", "synth", "--out", tree, "--train", 2, "--val", 3, "--imgsz", "32x32")
    cut = cut_short(next((tree / "leftImg8bit/val").rglob("*.png")))
    next((tree / "gtFine/train").rglob("*000001*.png")).unlink()
    code, out, err = run("data", "check", f"cityscapes:{tree}")
    assert code == 2
    _, first, second, *notes = out.splitlines()
    assert all(note.startswith("note: ") for note in notes)
    assert "image without a mask; expected" in first
    assert second.startswith(f"{cut}: cut short")
    assert err == f"segkd: 2 problems in cityscapes:{tree}; correct the files named above\n"
    code, out, _ = run("data", "check", f"cityscapes:{tree}", "--split", "val", "--json")
    report = json.loads(out)
    assert code == 2
    assert report["images"] == {"val": 3}
    assert report["ok"] is False
    assert [problem["path"] for problem in report["problems"]] == [str(cut)]


def test_a_part_of_a_published_split_is_a_warning_unless_strict(run, tmp_path) -> None:
    cityscapes(tmp_path, ["ulm_000000_000019", "ulm_000001_000019"])
    save(tmp_path / "gtFine/val/ulm/ulm_000001_000019_gtFine_labelIds.png", np.full((12, 16), 8, np.uint8))
    spec = f"cityscapes:{tmp_path}"
    code, out, err = run("data", "check", spec, "--split", "val")
    assert (code, err) == (0, "")
    assert "warning: split val has 2 images, the published one 500\n" in out
    code, out, _ = run("data", "check", spec, "--split", "val", "--json")
    report = json.loads(out)
    assert report["warnings"] == ["split val has 2 images, the published one 500"]
    assert report["forms"] == {"val": "*_gtFine_labelIds.png, as distributed"}
    assert report["ok"] is True
    code, out, err = run("data", "check", spec, "--split", "val", "--strict")
    assert code == 2
    assert f"{tmp_path}: split val has 2 images, the published one 500\n" in out
    assert err == f"segkd: 1 problem in {spec}; correct the files named above\n"


def test_stats_print_shares_and_write_a_grid(run, tmp_path) -> None:
    tree, out_folder = tmp_path / "scenes", tmp_path / "out"
    run("data", "synth", "--out", tree, "--train", 3, "--val", 2, "--imgsz", "32x64")
    code, out, err = run("data", "stats", f"cityscapes:{tree}", "--limit", 2, "--out", out_folder)
    assert code == 0
    assert "train: 3 images, 2 read, *_gtFine_labelIds.png, as distributed\n" in out
    assert "  pixels: 32x64, " in out
    assert "images/s in one thread" in out
    assert err == f"wrote {out_folder}/stats.json and train.png, val.png\n"
    assert sorted(path.name for path in out_folder.iterdir()) == ["stats.json", "train.png", "val.png"]
    assert read_rgb(out_folder / "train.png").shape[1] == 2 * (640 + 6)
    code, out, _ = run("data", "stats", f"cityscapes:{tree}", "--split", "val", "--json")
    (split,) = json.loads(out)["splits"].values()
    assert code == 0
    assert split["images"] == split["read"] == 2
    assert len(split["classes"]) == 19
    assert sum(entry["share"] for entry in split["classes"]) == pytest.approx(1)
    assert json.loads((out_folder / "stats.json").read_text())["data"] == f"cityscapes:{tree}"


def test_stats_of_pictures_of_different_sizes_and_of_frames(run, tmp_path) -> None:
    for name, height in (("a", 8), ("b", 12)):
        save(tmp_path / f"{name}.png", photo(height, 16))
    code, out, _ = run("data", "stats", f"images:{tmp_path}")
    assert code == 0
    assert "  pixels: height 8 to 12 (median 10), width 16 to 16 (median 16)\n" in out
    assert "class" not in out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["check", "folder:/nowhere"], "no folder /nowhere"),
        (["check", "nowhere"], "expected NAME:PATH"),
        (["synth", "--out", "{tmp}"], "holds other files"),
        (["synth", "--out", "{tmp}/new", "--imgsz", "16x16"], "at least 32x32 px"),
        (["synth", "--out", "{tmp}/new", "--imgsz", "128,256"], "is no size"),
        (["synth", "--out", "{tmp}/new", "--train", "-1"], "-1"),
        (["synth"], "--out"),
    ],
)
def test_mistakes_exit_2_and_leave_nothing(run, tmp_path, args, message) -> None:
    (tmp_path / "note.txt").touch()
    code, out, err = run("data", *(arg.format(tmp=tmp_path) for arg in args))
    assert (code, out) == (2, "")
    assert message in err
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


def test_help_is_short_and_light(run) -> None:
    code, out, _ = run("data", "--help")
    assert code == 0
    assert SUMMARIES["data"] in out
    program = "import sys; from segkd.cli import main\ntry: main(sys.argv[1:])\nexcept SystemExit: pass\n"
    program += "print('loaded', sorted({'cv2', 'numpy', 'torch', 'rich', 'PIL'} & set(sys.modules)))"
    for command in ("synth", "check", "stats"):
        done = subprocess.run(
            [sys.executable, "-c", program, "data", command, "--help"], capture_output=True, text=True, check=True
        )
        assert done.stdout.endswith("loaded []\n")
