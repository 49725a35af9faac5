from __future__ import annotations

import gzip
import json
import os
import random
import shutil
from pathlib import Path

import pytest

from segkd.errors import GateFailed, SegkdError
from segkd_deploy.release.bundle import prepare_release, write_bundle
from segkd_deploy.release.verify import REQUIRED, verify_release
from tests.deploy.release.mutations import STREAMS, TARS, break_json, members_of, pack, rehash, special

# Files that say something of the bundle, in which any change must be found even if all hashes are made new.
SPEAKING = ("manifest.json", "parity.json", "bench.json", "release.json")


@pytest.fixture(scope="module")
def good(pristine_measured: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bundle")
    (out / "gates.yaml").write_text("miou_floor: 0.5\nsize_mb: 1\n")
    return write_bundle(prepare_release(pristine_measured, out / "gates.yaml", "net", "1"), out)


@pytest.fixture
def bundle(good: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "in" / "net-1"))


def refused(path: Path) -> str:
    """The message of a refusal: one bounded line, exit code 1."""
    with pytest.raises(GateFailed) as caught:
        verify_release(path)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 3000
    return message


def refused_archive(folder: Path, data: bytes) -> str:
    """The message of a refusal; nothing may have been written anywhere."""
    archive = folder / "net-1.tar.gz"
    archive.write_bytes(data)
    before = sorted(path for path in folder.rglob("*"))
    message = refused(archive)
    assert sorted(path for path in folder.rglob("*")) == before
    return message


def test_a_good_bundle_verifies_in_every_form(good: Path, tmp_path: Path) -> None:
    found = verify_release(good)
    assert set(REQUIRED) <= found.keys()
    for number, format_ in enumerate((0, 1, 2)):  # ustar, GNU, pax
        path = tmp_path / f"{number}.tar.gz"
        path.write_bytes(gzip.compress(pack(members_of(good), format_)))
        assert verify_release(path) == found


@pytest.mark.parametrize("kind", TARS)
def test_tars_that_are_no_bundle(good: Path, tmp_path: Path, kind: str) -> None:
    (tmp_path / "in").mkdir()
    archive = tmp_path / "in" / "net-1.tar.gz"
    archive.write_bytes(gzip.compress(TARS[kind](good), 1))
    with pytest.raises(SegkdError) as caught:
        verify_release(archive)
    # Without any SHA256SUMS it is no bundle; else it is one that does not verify.
    assert caught.value.exit_code == (2 if kind == "nothing" else 1)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert os.listdir(tmp_path) == ["in"]
    assert os.listdir(tmp_path / "in") == ["net-1.tar.gz"]


@pytest.mark.parametrize("kind", STREAMS)
def test_streams_that_were_changed(good: Path, tmp_path: Path, kind: str) -> None:
    data = gzip.compress(pack(members_of(good)), 6, mtime=0)
    for seed in range(6):
        refused_archive(tmp_path, STREAMS[kind](data, random.Random(seed)))


@pytest.mark.parametrize(
    "kind",
    [
        "pipe",
        "link",
        "loop",
        "device",
        "sums are a pipe",
        "sums are endless",
        "sums of another encoding",
        "sums of 6 GB",
        "many long names",
    ],
)
def test_folders_with_more_than_plain_files(bundle: Path, kind: str) -> None:
    special(bundle, kind)
    refused(bundle)


@pytest.mark.parametrize("content", [b"\xff" * 99, b"", b"0" * 99])
def test_a_hash_beside_that_says_nothing(good: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "net-1.tar.gz.sha256").write_bytes(content)
    refused_archive(tmp_path, gzip.compress(pack(members_of(good))))


def test_a_hash_beside_that_never_ends(good: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "net-1.tar.gz.sha256")
    assert "a pipe" in refused_archive(tmp_path, gzip.compress(pack(members_of(good))))


def test_a_bomb_is_stopped_early(good: Path, tmp_path: Path) -> None:
    """2 MB that unpack to 2 GB: stopped after the first 256 MB."""
    size = 1 << 31
    header = bytearray(pack(members_of(good)[:1])[:512])
    header[124:136] = b"%011o\0" % size
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    archive = tmp_path / "net-1.tar.gz"
    with gzip.open(archive, "wb", 1) as file:
        file.write(bytes(header))
        for _ in range(300):
            file.write(bytes(1 << 20))
    assert "times its size" in refused(archive)


@pytest.mark.parametrize("name", REQUIRED)
def test_whole_bundles_only(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    rehash(bundle)
    assert name in refused(bundle)


@pytest.mark.parametrize("name", SPEAKING)
def test_rehashed_files_that_contradict_the_others(good: Path, tmp_path: Path, name: str) -> None:
    for seed in range(12):
        copy = Path(shutil.copytree(good, tmp_path / str(seed)))
        done = break_json(copy / name, random.Random(seed))
        rehash(copy)
        assert refused(copy), done


def test_loosened_gates(bundle: Path) -> None:
    (bundle / "gates.yaml").write_text("miou_floor: 0.1\nsize_mb: 1\n")
    rehash(bundle)
    assert "gates_sha256" in refused(bundle)


def test_evidence_that_fails_its_gates_even_if_release_json_was_made_to_fit(bundle: Path) -> None:
    (bundle / "gates.yaml").write_text("miou_floor: 0.999\n")
    record = prepare_release(bundle, bundle / "gates.yaml", "net", "1").record
    for row in record["gates"]:
        row["passed"] = True
    (bundle / "release.json").write_text(json.dumps({**record, "passed": True}))
    rehash(bundle)
    assert "miou_floor does not hold" in refused(bundle)


def test_the_graph_of_another_artifact(bundle: Path) -> None:
    (bundle / "model.fp32.onnx").write_bytes((bundle / "model.fp32.logits.onnx").read_bytes())
    rehash(bundle)
    assert "model.fp32.onnx" in refused(bundle)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(20))
def test_many_mutations(good: Path, tmp_path: Path, seed: int) -> None:
    random_ = random.Random(1000 + seed)
    data = gzip.compress(pack(members_of(good)), 6, mtime=0)
    (tmp_path / "in").mkdir()
    for number in range(100):
        refused_archive(tmp_path / "in", random_.choice(list(STREAMS.values()))(data, random_))
        copy = Path(shutil.copytree(good, tmp_path / f"{number}"))
        done = break_json(copy / random_.choice(SPEAKING), random_)
        rehash(copy)
        assert refused(copy), done
