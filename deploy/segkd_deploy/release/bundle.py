"""A release bundle: the artifact, its evidence, the gates it passed, a card and checksums, as folder and archive.

A bundle is a pure function of artifact, evidence, gates file, name and version: made twice, it has the same bytes.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segkd.errors import SegkdError
from segkd.files import finite, sha256_file
from segkd.files.unfinished import unfinished
from segkd.folders import ArtifactFiles
from segkd_deploy.artifact import Artifact, open_artifact
from segkd_deploy.evidence import Evidence, load_evidence
from segkd_deploy.gates import check_evidence, failed_gates, load_gates, loosened
from segkd_deploy.release.card import write_card
from segkd_deploy.release.checksums import ARCHIVE_SUFFIX, FILE_NAME, format_sums, hash_folder

SCHEMA = 1


@dataclass(frozen=True)
class Release:
    """A checked release.

    Attributes:
        artifact: what is released.
        evidence: what the gates were held against.
        gates_file: the gates.
        record: the content of ``release.json``.
        notes: sentences for people.
    """

    artifact: Artifact
    evidence: Evidence
    gates_file: Path
    record: dict[str, Any]
    notes: list[str]

    @property
    def full_name(self) -> str:
        """``NAME-VERSION``, the name of the bundle's folder."""
        return f"{self.record['name']}-{self.record['version']}"

    def failed(self) -> list[str]:
        """``VARIANT GATE`` of the gates that did not hold; of a measurement also why."""
        return failed_gates(self.record["gates"], self.evidence.benches)


def prepare_release(
    artifact_folder: Path, gates_file: Path, name: str | None = None, version: str | None = None
) -> Release:
    """Verify an artifact and its evidence and check every gate; writes nothing.

    Args:
        artifact_folder: the artifact; all its variants are released.
        gates_file: see ``load_gates``.
        name: of the release; the name of the run that the artifact comes from if None.
        version: of the release; the first 12 digits of the manifest's hash if None.

    Raises:
        SegkdError: for a bad gates file or name, and for evidence that is missing or stale.
        GateFailed: if a file of the artifact has changed.
    """
    artifact = open_artifact(artifact_folder)
    variants = artifact.variants()
    wanted = load_gates(gates_file, variants)
    evidence = load_evidence(artifact, variants)
    precisions = {variant: artifact.manifest.variant(variant).precision for variant in variants}
    own = artifact.manifest.gates
    gates = check_evidence(precisions, own, evidence.parity, evidence.benches, wanted)

    record = {
        "schema": SCHEMA,
        "name": _word("name", name or Path(artifact.manifest.source.run).name),
        "version": _word("version", version or artifact.manifest_sha256[:12]),
        "passed": all(gate["passed"] for gate in gates),
        "gates": gates,
        "artifact": {
            "manifest_sha256": artifact.manifest_sha256,
            "variants": {variant: artifact.manifest.variant(variant).sha256 for variant in variants},
        },
        "evidence": {path.name: sha256_file(path) for path in evidence.paths},
        "gates_sha256": sha256_file(gates_file),
    }

    notes = loosened(precisions, own, wanted)
    return Release(artifact, evidence, gates_file, finite(record), notes)


def write_bundle(release: Release, out: Path) -> Path:
    """Write ``OUT/NAME-VERSION/``, its archive and the archive's hash; none of them appears half written.

    Returns:
        The folder.

    Raises:
        SegkdError: if the release did not pass, or one of the three is there already.
    """
    if not release.record["passed"]:
        raise SegkdError("a release that did not pass its gates has no bundle")
    folder = out / release.full_name
    archive = out / f"{release.full_name}{ARCHIVE_SUFFIX}"
    beside = out / f"{archive.name}.sha256"
    for path in (folder, archive, beside):
        if path.exists():
            raise SegkdError(f"{path} is there already; give another --version or --out, or remove it")
    with unfinished(folder, folder=True) as building:
        content = building / release.full_name
        content.mkdir()
        _fill(release, content)
        _write_archive(content, building / archive.name)
        (building / beside.name).write_text(format_sums({archive.name: sha256_file(building / archive.name)}))
        for path in (folder, archive, beside):
            os.replace(building / path.name, path)
    return folder


def _fill(release: Release, folder: Path) -> None:
    artifact = release.artifact
    for name in (ArtifactFiles.MANIFEST, *artifact.manifest.files):
        _copy(artifact.folder / name, folder / name)
    for path in release.evidence.paths:
        _copy(path, folder / path.name)
    _copy(release.gates_file, folder / "gates.yaml")
    (folder / "release.json").write_text(json.dumps(release.record, indent=2, allow_nan=False) + "\n")
    card = write_card(artifact, release.evidence, release.record)
    (folder / "MODEL_CARD.md").write_text(card, encoding="utf-8")
    (folder / FILE_NAME).write_text(format_sums(hash_folder(folder)), encoding="utf-8")


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _write_archive(folder: Path, archive: Path) -> None:
    """A tar.gz of a folder whose bytes depend on names and contents alone."""
    with (
        archive.open("wb") as raw,
        gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.GNU_FORMAT) as tar,
    ):
        for path in _files(folder):
            member = tarfile.TarInfo(f"{folder.name}/{path.relative_to(folder).as_posix()}")
            member.size, member.mode, member.mtime = path.stat().st_size, 0o644, 0
            with path.open("rb") as content:
                tar.addfile(member, content)


def _files(folder: Path) -> Iterable[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _word(what: str, text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", text):
        raise SegkdError(
            f"{what} {text!r}: expected letters, digits and . _ + -, beginning with a letter or digit; give --{what}"
        )
    return text
