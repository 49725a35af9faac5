from __future__ import annotations

import os
import sys
from argparse import Namespace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from segkd.errors import SegkdError
from segkd_distill.models.checkpoints.files import Inert, load_tensors, read_file, save_tensors
from segkd_distill.models.checkpoints.wrappings import strip_prefixes
from tests.distill.models.checkpoints.small import equal, model


class Malicious:
    """Creates a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.target),))


class TestLoadTensors:
    def test_safetensors_and_torch_files(self, tmp_path: Path) -> None:
        state = model().to(memory_format=torch.channels_last).state_dict()
        save_tensors(tmp_path / "a.safetensors", state)
        torch.save(state, tmp_path / "b.pth")
        assert equal(load_tensors(tmp_path / "a.safetensors"), state)
        assert equal(load_tensors(str(tmp_path / "b.pth")), state)
        assert sorted(p.name for p in tmp_path.iterdir()) == ["a.safetensors", "b.pth"]

    def test_mmcv_checkpoint(self, tmp_path: Path) -> None:
        state = model().state_dict()
        meta = {"CLASSES": ("a", "b"), "epoch": 3, "time": "now"}
        torch.save({"meta": meta, "state_dict": state, "optimizer": {"lr": 0.1}}, tmp_path / "c.pth")
        assert equal(load_tensors(tmp_path / "c.pth"), state)

    def test_code_in_a_pickle_is_refused_and_not_run(self, tmp_path: Path) -> None:
        target = tmp_path / "executed"
        torch.save({"state_dict": {"a": torch.zeros(1)}, "meta": Malicious(target)}, tmp_path / "evil.pth")
        with pytest.raises(SegkdError, match=r"evil\.pth holds more than tensors \(\w+\.mkdir\)") as caught:
            load_tensors(tmp_path / "evil.pth")
        assert "\n" not in str(caught.value)
        assert not target.exists()

    def test_plain_pickles_are_refused_and_not_run(self, tmp_path: Path) -> None:
        import pickle

        target = tmp_path / "executed"
        (tmp_path / "evil.pkl").write_bytes(pickle.dumps({"a": Malicious(target)}))
        with pytest.raises(
            SegkdError, match=r"evil\.pkl holds more than tensors, or was pickled with another protocol"
        ):
            load_tensors(tmp_path / "evil.pkl")
        assert not target.exists()

    @pytest.mark.parametrize("code", [eval, os.system, Path.touch, print])
    def test_no_callable_gets_through(self, tmp_path: Path, code: Any) -> None:
        class Call:
            def __reduce__(self) -> tuple[Any, ...]:
                return (code, (str(tmp_path / "executed"),))

        torch.save({"state_dict": {"a": torch.zeros(1)}, "x": Call()}, tmp_path / "evil.pth")
        with pytest.raises(SegkdError, match="holds more than tensors"):
            load_tensors(tmp_path / "evil.pth")
        assert os.listdir(tmp_path) == ["evil.pth"]

    def test_getattr_is_never_called(self, tmp_path: Path) -> None:
        """The usual way out of an allow-list; here it gives an empty object, which cannot be called either."""

        class Escape:
            def __reduce__(self) -> tuple[Any, ...]:
                return (getattr, ("text", "upper"))

        torch.save({"state_dict": {"a": torch.zeros(1)}, "meta": {"x": Escape()}}, tmp_path / "a.pth")
        assert type(read_file(tmp_path / "a.pth").meta["x"]) is Inert

    def test_what_published_files_hold_is_read_as_nothing(self, tmp_path: Path) -> None:
        content = {
            "state_dict": {"a": torch.ones(2)},
            "meta": {"CLASSES": ("road",), "score": np.float64(0.5), "array": np.arange(3), "options": Namespace(lr=1)},
            "best_pred": np.float32(0.5),
        }
        for zipped in (True, False):
            torch.save(content, tmp_path / "n.pth", _use_new_zipfile_serialization=zipped)
            found = read_file(tmp_path / "n.pth")
            assert torch.equal(found.tensors["a"], torch.ones(2))
            assert found.meta["CLASSES"] == ("road",)
            assert {type(found.meta[key]) for key in ("score", "array", "options")} == {Inert}
            assert vars(found.meta["options"]) == {}

    def test_log_buffers_of_open_mmlab(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """They refer to their own methods, which pickle writes as getattr(HistoryBuffer, "mean")."""
        module = ModuleType("mmengine.logging.history_buffer")
        exec("class HistoryBuffer:\n    def mean(self): raise SystemExit", module.__dict__)
        module.HistoryBuffer.__module__ = module.__name__
        for name in ("mmengine", "mmengine.logging"):
            monkeypatch.setitem(sys.modules, name, ModuleType(name))
        monkeypatch.setitem(sys.modules, module.__name__, module)
        buffer = module.HistoryBuffer()
        buffer.log_history, buffer.methods = np.zeros(3), {"mean": module.HistoryBuffer.mean}
        torch.save({"state_dict": {"a": torch.ones(1)}, "message_hub": {"loss": buffer}}, tmp_path / "m.pth")
        monkeypatch.undo()
        assert list(load_tensors(tmp_path / "m.pth")) == ["a"]

    @pytest.mark.parametrize("name", ["x.pth", "x.pt", "x.safetensors"])
    @pytest.mark.parametrize("content", [b"", b"hello world, no weights here"])
    def test_foreign_bytes(self, tmp_path: Path, name: str, content: bytes) -> None:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SegkdError, match=rf"{name} (cannot be read as a checkpoint|is not a complete safetensors)"):
            load_tensors(tmp_path / name)

    @pytest.mark.parametrize("name", ["x.pth", "x.safetensors"])
    def test_half_a_file(self, tmp_path: Path, name: str) -> None:
        state = model().state_dict()
        save_tensors(tmp_path / name, state) if name.endswith("tensors") else torch.save(state, tmp_path / name)
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2])
        with pytest.raises(SegkdError, match=name):
            load_tensors(tmp_path / name)

    def test_missing_file_folder_and_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(SegkdError, match=r"no weights file .*w\.pth"):
            load_tensors(tmp_path / "w.pth")
        with pytest.raises(SegkdError, match="is a folder; expected a weights file"):
            load_tensors(tmp_path)
        torch.save({"epoch": 3}, tmp_path / "e.pth")
        with pytest.raises(SegkdError, match="holds no tensors"):
            load_tensors(tmp_path / "e.pth")


class TestNames:
    @pytest.mark.parametrize(
        "prefix", ["", "module.", "_orig_mod.", "module._orig_mod.", "model.", "student.", "architecture.model."]
    )
    def test_prefixes_of_wrappers(self, prefix: str) -> None:
        names = ["backbone.conv1.weight", "decode_head.conv_seg.bias"]
        tensors = {prefix + name: torch.zeros(1) for name in names}
        assert list(strip_prefixes(tensors)) == names

    def test_a_prefix_of_some_names_only_stays(self) -> None:
        names = ["model.a", "head.b"]
        assert list(strip_prefixes(dict.fromkeys(names, torch.zeros(1)))) == names

    def test_teacher_beside_the_student_is_dropped(self) -> None:
        names = ["architecture.model.backbone.a", "teacher.backbone.a", "data_preprocessor.mean"]
        assert list(strip_prefixes(dict.fromkeys(names, torch.zeros(1)))) == ["backbone.a"]
