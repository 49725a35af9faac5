"""Whether a bundle is what ``segkd release create`` would write from its own files.

Three questions, each only when the one before was answered: are these plain files with the hashes that the bundle
states; do graphs, manifest and evidence speak of each other; do the evidence hold the gates, and does ``release.json``
say just that. Whoever can rewrite every file of a bundle can also make it consistent: only a signature, or a hash from
another place, proves where it comes from.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from segkd.errors import GateFailed, SegkdError
from segkd.files.small_files import listed, one_line
from segkd.files.written_files import ReleaseRecord, read_checked
from segkd.folders import ArtifactFiles
from segkd_deploy.release.archive import BundleArchive
from segkd_deploy.release.bundle import Release, prepare_release
from segkd_deploy.release.checksums import FILE_NAME, SUMS_BYTES, verify_hashes
from segkd_deploy.release.earlier import earlier_rows

CARD, GATES, RECORD = "MODEL_CARD.md", "gates.yaml", "release.json"
REQUIRED = (ArtifactFiles.MANIFEST, ArtifactFiles.PARITY, ArtifactFiles.BENCH, GATES, RECORD, CARD)


def verify_release(bundle: Path, note: Callable[[str], None] = lambda text: None) -> dict[str, str]:
    """Verify a bundle, a folder or an archive; an archive is unpacked beside nothing, and only once its hashes hold.

    Args:
        bundle: what to verify.
        note: takes a sentence on what people should know of a bundle that verifies.

    Returns:
        Path -> hash of its files.

    Raises:
        SegkdError: if it is no bundle.
        GateFailed: naming what does not hold.
    """
    found = verify_hashes(bundle)
    missing = [name for name in REQUIRED if name not in found]
    if missing:
        raise GateFailed(f"{bundle}: {listed(missing, 10)}: missing; this is no whole bundle, fetch it again")
    if bundle.is_dir():
        _check_content(bundle, bundle, note)
        return found

    # The archive is read again while it is unpacked: it may have been changed in between.
    try:
        with tempfile.TemporaryDirectory(prefix="segkd-verify-") as folder:
            unpacked = BundleArchive(bundle, FILE_NAME, SUMS_BYTES, Path(folder)).read()
            if {name: sha256 for name, sha256 in unpacked.hashes.items() if name != FILE_NAME} != found:
                raise GateFailed(f"{bundle} changed while it was verified; fetch it again")
            _check_content(Path(folder), bundle, note)
    except OSError as error:
        raise SegkdError(
            f"{bundle}: cannot be unpacked for its check ({error.strerror}); name a larger folder in TMPDIR"
        ) from error
    return found


def _check_content(folder: Path, bundle: Path, note: Callable[[str], None]) -> None:
    """Make the release again from the bundle's own files, and compare."""
    try:
        record = read_checked(folder / RECORD, ReleaseRecord, "fetch it again", ("name", "version", "gates", "passed"))
        name, version = record["name"], record["version"]
        again = prepare_release(folder, folder / GATES, name, version)
    except SegkdError as error:
        words = str(error).replace(f"{folder}/", "").replace(str(folder), str(bundle))
        raise GateFailed(f"{bundle}: {words}") from error
    problems = _problems(record, again, note)
    title = f"# {name} {version}"
    if not (folder / CARD).read_bytes().startswith(f"{title}\n".encode()):
        problems.append(f"{CARD} does not begin with {title!r}")
    if problems:
        raise GateFailed(f"{bundle}: its files contradict each other: {listed(problems)}")


def _problems(record: Mapping[str, Any], again: Release, note: Callable[[str], None]) -> list[str]:
    """What does not hold by the rules of today, or for a bundle of an earlier segkd by those of its time."""
    problems = _differences(record, again)
    rows = earlier_rows(again) if problems else None
    if rows is None:
        return problems
    by_its_time = _differences(record, replace(again, record={**again.record, "gates": rows}), verdicts=False)
    if by_its_time:
        return min(problems, by_its_time, key=len)
    failed = again.failed()
    today = f"today's would not release it: {listed(failed)}" if failed else "today's have other limits"
    note(f"released by the rules of an earlier segkd, which it holds; {today}")
    return []


def _differences(record: Mapping[str, Any], again: Release, *, verdicts: bool = True) -> list[str]:
    """Where ``release.json`` is not what its own evidence gives.

    Args:
        record: content of ``release.json``.
        again: the release made again.
        verdicts: whether what ``parity.json`` says failed has failed.
    """
    problems = [
        f"{RECORD}: {key} is not that of the bundle's files"
        for key in ("schema", "artifact", "evidence", "gates_sha256")
        if record.get(key) != again.record[key]
    ]
    if record.get("passed") is not True:
        problems.append(f"{RECORD}: passed is {one_line(record.get('passed'), 20)}")
    failed = [f"{row['variant']} {row['name']}" for row in again.record["gates"] if not row["passed"]]
    problems += [f"gate {words} does not hold" for words in failed]
    problems += [
        f"{variant}: parity.json says that {gate.get('name')} failed"
        for variant, part in again.evidence.parity["variants"].items()
        for gate in part.get("gates") or []
        if verdicts and variant in again.evidence.benches and not gate.get("passed")
    ]
    return problems + _gate_differences(record["gates"], again)


def _gate_differences(rows: list[dict[str, Any]], again: Release) -> list[str]:
    """Recorded gates against those that the evidence gives now."""
    now = {(row["variant"], row["name"]): row for row in again.record["gates"]}
    problems = []
    for row in rows:
        key = (str(row.get("variant")), str(row.get("name")))
        words = one_line(" ".join(str(part) for part in key), 60)
        if key not in now:
            problems.append(f"{RECORD}: gate {words} is no gate of this bundle")
        elif row.get("passed") is not True:
            problems.append(f"{RECORD}: gate {words} has not passed")
        elif not _same_value(row.get("measured"), now[key]["measured"]):
            problems.append(f"{RECORD}: gate {words}: measured is not what the evidence says")
        elif row.get("limit") != now[key]["limit"]:
            problems.append(f"{RECORD}: gate {words}: the limit is not that of {GATES}, the manifest and segkd")
    missing = [f"{variant} {name}" for variant, name in now if not any(_is(row, variant, name) for row in rows)]
    return problems + [f"{RECORD}: gate {words} is missing" for words in missing]


def _is(row: Mapping[str, Any], variant: str, name: str) -> bool:
    return (row.get("variant"), row.get("name")) == (variant, name)


def _same_value(recorded: Any, now: Any) -> bool:
    return type(recorded) is type(now) and bool(recorded == now)
