"""What the losses cost, beside the originals: CPU time of forward + backward, and peak memory.

    python benchmarks/losses.py                       every row, with the plain formulas that take seconds
    python benchmarks/losses.py --plain all           IFVD's and CIRKD's slow ones too (minutes)
    python benchmarks/losses.py --rows ifvd,cirkd     rows whose name begins with one of these
    python benchmarks/losses.py --quick --json        one sample, no memory, for machines to read

Each row compares with two things. ``original``: the CPU time that the original took (losses_originals.py), multiplied
by how much slower or faster this machine is at two calibration jobs, which run in the same rounds. ``plain``: the same
formula in plain torch (losses_plain.py), interleaved with ours. A row is judged by ``original``: some have a bar of
their own (IFVD 40 times, BPKD 5, ...), the others may take 1.1 times the time or 1 ms more. Where the original took
less than 5 ms, its figure says little about another machine, and ``plain`` judges.

Times are medians of interleaved samples, in CPU milliseconds over all threads. The peak memory is what the first run
of a job adds in a process of its own, the gradient included.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from typing import Any

import torch
from losses_originals import CALIBRATION_CPU_MS, MARGIN, MARGIN_MS, ORIGINALS, Original
from losses_rows import ROWS, Inputs
from measure import Job, calibration, interleaved, own_peak, peak_of, spread, to_stderr, without_spinning

SLOW_MS = 5000.0
SHORT_MS = 5.0


def chosen_rows(wanted: str) -> list[str]:
    """Names of rows that begin with one of the words.

    Raises:
        SystemExit: for a word that no row begins with.
    """
    words = [word for word in wanted.split(",") if word]
    for word in words:
        if not any(key.startswith(word) for key in ROWS):
            raise SystemExit(f"no row begins with {word!r}: {', '.join(ROWS)}")
    return [key for key in ROWS if not words or key.startswith(tuple(words))]


def sides_of(key: str, plain: str) -> list[str]:
    """``ours``, and ``plain`` where it is wanted and there is one."""
    has_plain = key not in {"skds_holistic_G", "skds_holistic_D_wgan_gp", "cirkd_memory_512"}
    slow = min(ORIGINALS[key].cpu_ms) > SLOW_MS
    return ["ours", "plain"] if has_plain and (plain == "all" or (plain == "fast" and not slow)) else ["ours"]


def slowdown(samples: dict[str, list[float]], original: Original) -> float:
    """How much more CPU time this machine needs than the one that measured the originals, for such a row."""
    factors = {key: statistics.median(samples[key]) / ms for key, ms in CALIBRATION_CPU_MS.items()}
    arithmetic, memory = factors["calib_matmul2048_fwd_bwd"], factors["calib_exp_16M_fwd_bwd"]
    return original.arithmetic * arithmetic + (1 - original.arithmetic) * memory


def judged(ours: float, scaled: float, plain: float | None, original: Original) -> dict[str, Any]:
    """The bar of a row and whether it is met; times in ms."""
    if original.speedup is not None:
        return {
            "bar": original.speedup,
            "bar_text": f"{original.speedup:g}x faster",
            "judged_by": "original",
            "meets": scaled / ours >= original.speedup,
        }
    by_plain = plain is not None and min(original.cpu_ms) < SHORT_MS
    reference = plain if plain is not None and by_plain else scaled
    return {
        "bar": round(1 / MARGIN, 3),
        "bar_text": f"<= {MARGIN:g}x or +{MARGIN_MS:g} ms",
        "judged_by": "plain" if by_plain else "original",
        "meets": ours <= max(MARGIN * reference, reference + MARGIN_MS),
    }


def row(key: str, samples: dict[str, list[float]], peaks: dict[str, Any]) -> dict[str, Any]:
    """One row of the table, from the samples of all jobs."""
    original = ORIGINALS[key]
    ours = statistics.median(samples[f"{key}/ours"])
    plain = statistics.median(samples[f"{key}/plain"]) if f"{key}/plain" in samples else None
    published = min(original.cpu_ms)
    scaled = published * slowdown(samples, original)
    own, other = peaks.get(f"{key}/ours"), peaks.get(f"{key}/plain")
    record = {
        "key": key,
        "what": original.what,
        "ours_ms": round(ours, 3),
        "ours_min_ms": spread(samples[f"{key}/ours"])["min_ms"],
        "original_ms": published,
        "original_ms_scaled": round(scaled, 3),
        "plain_ms": None if plain is None else round(plain, 3),
        "ratio": round(scaled / ours, 3),
        "plain_ratio": None if plain is None else round(plain / ours, 3),
        **judged(ours, scaled, plain, original),
        "peak_mb": own and own.job_mb,
        "plain_peak_mb": other and other.job_mb,
        "process_mb": own and own.process_mb,
        "original_process_mb": original.process_mb,
        "memory_bar": original.memory_share,
    }
    record["meets_memory"] = _meets_memory(record)
    return record


def _meets_memory(record: dict[str, Any]) -> bool | None:
    """None without a demand or a measurement; the plain formula's peak is the measure, else the original's process."""
    if record["memory_bar"] is None or record["peak_mb"] is None:
        return None
    if record["plain_peak_mb"] is not None:
        return bool(record["peak_mb"] <= record["memory_bar"] * record["plain_peak_mb"])
    return bool(record["process_mb"] <= record["memory_bar"] * record["original_process_mb"])


COLUMNS = {
    "ours_ms": "ours ms",
    "original_ms_scaled": "original ms",
    "ratio": "ratio",
    "plain_ms": "plain ms",
    "plain_ratio": "ratio",
    "bar_text": "bar",
    "meets": "meets",
    "peak_mb": "peak MB",
    "plain_peak_mb": "plain MB",
}


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown."""
    lines = ["| row | " + " | ".join(COLUMNS.values()) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for record in rows:
        lines.append(f"| {record['key']} | " + " | ".join(_cell(key, record) for key in COLUMNS) + " |")
    return "\n".join(lines)


def _cell(column: str, record: dict[str, Any]) -> str:
    value = record[column]
    if value is None:
        return "-"
    if column == "meets":
        memory = {None: "", True: ", memory too", False: ", memory not"}[record["meets_memory"]]
        return f"{'yes' if value else 'NO'}{memory} (by {record['judged_by']})"
    if isinstance(value, float):
        return f"{value:.2f}" if abs(value) < 100 else f"{value:.0f}"
    return str(value)


def measured(keys: Sequence[str], args: argparse.Namespace) -> dict[str, Any]:
    """Peaks, then interleaved times, then the rows."""
    names = [(key, side) for key in keys for side in sides_of(key, args.plain)]
    peaks = {}
    if args.memory:
        for key, side in names:
            to_stderr(f"peak memory: {key}/{side}")
            peaks[f"{key}/{side}"] = peak_of(__file__, "--threads", str(args.threads), "--peak", key, side)
    jobs: dict[str, Job] = dict(calibration())
    made = {key: ROWS[key](Inputs()) for key in keys}
    jobs |= {f"{key}/{side}": made[key].job(side) for key, side in names}
    samples = interleaved(jobs, args.repeats, to_stderr)
    to_stderr("")
    return {
        "torch": torch.__version__,
        "threads": args.threads,
        "repeats": args.repeats,
        "calibration": {key: {**spread(samples[key]), "original_ms": ms} for key, ms in CALIBRATION_CPU_MS.items()},
        "rows": [row(key, samples, peaks) for key in keys],
    }


def parse(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="", help="comma-separated words; rows whose name begins with one (all)")
    parser.add_argument("--repeats", type=int, default=5, help="interleaved samples per job")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--plain", choices=("none", "fast", "all"), default="fast", help="plain formulas to time")
    parser.add_argument("--no-memory", dest="memory", action="store_false", help="no peaks")
    parser.add_argument("--quick", action="store_true", help="one sample, no memory")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--peak", nargs=2, metavar=("ROW", "SIDE"), help=argparse.SUPPRESS)
    args = parser.parse_args(words)
    if args.quick:
        args.repeats, args.memory = 1, False
    return args


def main(words: Sequence[str] | None = None) -> None:
    """Parse, measure, print."""
    args = parse(sys.argv[1:] if words is None else words)
    torch.set_num_threads(args.threads)
    if args.peak:
        key, side = args.peak
        print(json.dumps(own_peak(lambda: ROWS[key](Inputs()).job(side))))
        return
    result = measured(chosen_rows(args.rows), args)
    if args.json:
        print(json.dumps(result, indent=2))
        return
    speeds = ", ".join(f"{key} {value['median_ms']:.0f}" for key, value in result["calibration"].items())
    print(f"torch {result['torch']}, {args.threads} threads, medians of {args.repeats}; CPU ms: {speeds}\n")
    print(table(result["rows"]))


if __name__ == "__main__":
    without_spinning()
    main()
