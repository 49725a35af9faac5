"""What the originals cost, as measured, and what segkd must reach.

Source: the originals' own module objects at the commits of tests/golden/PROVENANCE.md, with the patches listed there,
forward and backward to the student's tensor and adapters, the teacher without gradients; torch 2.13.0 on a CPU,
2 threads, AMD EPYC virtual machine with 2 cores, float32; batch 2, logits [2, 19, 64, 128], features [2, 512, 64, 128]
unless the row says otherwise, labels [2, 512, 1024]. Each row was measured twice: one warm-up, then 5 to 30 runs; the
numbers are the smallest CPU time of each measurement, over both threads. The machine was shared.

Only numbers are kept here, no code of the originals.
"""

from __future__ import annotations

from dataclasses import dataclass

CALIBRATION_CPU_MS = {"calib_matmul2048_fwd_bwd": 338.0, "calib_exp_16M_fwd_bwd": 53.0}
"""The calibration rows on the machine that measured the originals."""

MARGIN = 1.1
MARGIN_MS = 1.0
"""A row without a bar of its own takes at most 1.1 times the original's time, or 1 ms more."""


@dataclass(frozen=True)
class Original:
    """One row.

    Attributes:
        what: the original.
        cpu_ms: smallest CPU time of each of the two measurements.
        arithmetic: share of the time that scales with the matrix product; the rest scales with the exponential, which
            memory bounds. An estimate, from what the loss consists of.
        speedup: how many times faster segkd must be; None for ``MARGIN``.
        memory_share: of the plain formula's peak, at most; None for no demand.
        process_mb: the peak of the whole process that ran the original, where it was recorded.
    """

    what: str
    cpu_ms: tuple[float, float]
    arithmetic: float = 0.0
    speedup: float | None = None
    memory_share: float | None = None
    process_mb: float | None = None


ORIGINALS: dict[str, Original] = {
    "kd_cirkd_T1": Original("CIRKD CriterionKD, T = 1", (6.3, 1.9)),
    "kd_ifvd_repo": Original("IFVD CriterionKD", (2.8, 1.4)),
    "skds_pixel": Original("SKDS CriterionPixelWise", (1.6, 1.5)),
    "skds_pair_scale0.5": Original("SKDS pair-wise, scale 0.5: 2x2 nodes", (30, 31)),
    "skds_pair_cirkd_2x2": Original("CIRKD CriterionStructuralKD: 2048 nodes", (630, 620), 0.5, speedup=3.0),
    "skds_holistic_G": Original("SKDS discriminator and its term of the student", (212, 68), 1.0),
    "skds_holistic_D_wgan_gp": Original("SKDS discriminator's loss with gradient penalty", (687, 759), 1.0),
    "ifvd_official": Original("IFVD CriterionIFV", (8211, 7696), 0.0, speedup=40.0, process_mb=2200),
    "cwd_torchdistiller_logits_T4": Original("TorchDistiller CWD, T = 4", (1.5, 100)),
    "cwd_mmrazor_logits": Original("mmrazor ChannelWiseDivergence", (1.1, 1.4)),
    "cwd_cirkd_feat512_noconv": Original("CIRKD CWD on 512 channels", (280, 263)),
    "cwd_cirkd_feat128to512_conv": Original("CIRKD CWD, 128 channels adapted to 512", (456, 442), 0.3),
    "cirkd_minibatch_512": Original(
        "CIRKD mini-batch: 4 pairs of 8192 pixels",
        (18593, 17967),
        0.5,
        speedup=1.5,
        memory_share=0.25,
        process_mb=4000,
    ),
    "cirkd_memory_512": Original("CIRKD memory: both terms, head and enqueue", (6407, 6411), 0.5, speedup=1.5),
    "attnfd_1level_512": Original("AttnFD, one tap, CBAM on both sides", (1593, 1399), 0.3),
    "afdcd_full_256to512": Original("Af-DCD, 256 channels to 512", (2815, 2858), 0.8),
    "afdcd_contrast_core_512": Original("Af-DCD contrast alone, 512 channels", (435, 381)),
    "afdcd_real_512to2048_contrast_core": Original("Af-DCD contrast alone, 2048 channels", (784, 1283)),
    "bpkd_thirdparty": Original("BPKD re-implementation: mask, edge and body", (1280, 1587), speedup=5.0),
    "task_ce": Original("CIRKD task cross-entropy, 8x upsampled", (294, 291)),
}
