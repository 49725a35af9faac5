"""Links are followed once, and never in circles."""

from __future__ import annotations

from segkd.data.layout.walk import walk


def test_linked_folders_count_once_and_loops_end(tmp_path) -> None:
    root, more = tmp_path / "root", tmp_path / "more"
    for folder in (root / "a", root / ".hidden", more / "deep"):
        folder.mkdir(parents=True)
        (folder / "x.png").touch()
    (root / "link").symlink_to(more)
    (root / "again").symlink_to(root / "a")
    (root / "up").symlink_to(tmp_path)
    (more / "back").symlink_to(root)
    (root / "gone.png").symlink_to(tmp_path / "nowhere.png")
    found = walk(root)
    assert [path.relative_to(root).as_posix() for path in found.files] == ["a/x.png", "link/deep/x.png"]
    assert [path.name for path in found.dangling] == ["gone.png"]
    assert [path.relative_to(root).as_posix() for path in found.repeated] == ["again", "link/back", "up"]


def test_a_folder_that_is_itself_a_link(tmp_path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/x.png").touch()
    (tmp_path / "link").symlink_to("real")
    assert walk(tmp_path / "link").files == [tmp_path / "link/x.png"]
