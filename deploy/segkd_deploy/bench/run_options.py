"""What a graph is run with: one object for the timed calls, the sweep, the peak and the cold start."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segkd.errors import SegkdError
from segkd_deploy.graph_spec import GraphSpec
from segkd_deploy.runners import Runner, open_runner


@dataclass(frozen=True)
class RunOptions:
    """How to open a runner.

    Attributes:
        runtime: a key of ``RUNNERS``.
        provider: the runtime's provider.
        threads: threads inside an operator; None for one per physical core.
        batch: frames per call; None for the scenario's choice.
        cuda_graph: TensorRT only: record the network once and replay it.
        zero_copy: TensorRT only: let the GPU use the CPU's memory in place.
        decoder: onnxruntime only: who turns logits into labels, ``auto``, ``graph`` or ``host``.
    """

    runtime: str = "onnxruntime"
    provider: str = "cpu"
    threads: int | None = None
    batch: int | None = None
    cuda_graph: bool = False
    zero_copy: bool = False
    decoder: str = "auto"

    def __post_init__(self) -> None:
        """Check that the options belong together.

        Raises:
            SegkdError: for an option that the runtime does not have.
        """
        if self.runtime == "onnxruntime":
            for name in ("cuda_graph", "zero_copy"):
                if getattr(self, name):
                    option = name.replace("_", "-")
                    raise SegkdError(f"--{option} belongs to --runtime tensorrt or tensorrt_rtx, not to onnxruntime")
        elif self.decoder != "auto":
            raise SegkdError(f"--decoder belongs to --runtime onnxruntime, not to {self.runtime}")

    @property
    def on_gpu(self) -> bool:
        """Whether the runtime uses a CUDA device."""
        return self.runtime != "onnxruntime" or self.provider in {"cuda", "tensorrt"}

    @property
    def gpu_index(self) -> int | None:
        """Number of the GPU; None without one."""
        if not self.on_gpu:
            return None
        number = self.provider.partition(":")[2]
        return int(number) if number.isdecimal() else 0

    def open(self, graph: Path, spec: GraphSpec) -> Runner:
        """The runner, not yet entered.

        Args:
            graph: the ONNX file.
            spec: its shapes.

        Raises:
            SegkdError: for an unknown runtime.
            BackendMissing: if its library is not installed.
        """
        options: dict[str, Any] = {"provider": self.provider, "threads": self.threads, "spec": spec}
        if self.runtime == "onnxruntime":
            options["decoder"] = self.decoder
        else:
            from segkd_deploy.tensorrt.engines import DEFAULT_BATCHES, BuildOptions

            options |= {"cuda_graph": self.cuda_graph, "zero_copy": self.zero_copy}
            if spec.batch is None and (self.batch or 1) > DEFAULT_BATCHES[2]:
                options["options"] = BuildOptions(batches=(1, self.batch or 1, self.batch or 1))
        return open_runner(graph, self.runtime, **options)
