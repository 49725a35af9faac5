"""Stand-ins for ``tensorrt`` 8.6 to 11 and ``tensorrt_rtx``: the names of each version and no others.

Any other name raises AttributeError, reading or writing. An engine holds the ONNX graph it was built from and runs it
in onnxruntime, so labels are real. The names are those of specs/deploy.md 4.1 and of the bindings themselves.
"""

from __future__ import annotations

import ctypes
import enum
import functools
import json
import types
from typing import Any, ClassVar

import numpy as np
import onnx
import onnxruntime

from tests.deploy.fake_cudart import RUN_MS, FakeGpu

VERSIONS = {
    "8.6": "8.6.2",
    "10.3": "10.3.0",
    "10.13": "10.13.3.9",
    "11.4": "11.4.0.106",
    "rtx": "1.7.1.116",
}
PRECISION_FLAGS = ["FP16", "INT8"]
BUILDER_FLAGS = ["DEBUG", "GPU_FALLBACK", "REFIT", "DISABLE_TIMING_CACHE", "TF32", "SPARSE_WEIGHTS"]
# Real importers know more; these are what the tests' graphs hold.
OPERATORS = {"Cast", "Transpose", "Conv", "ArgMax", "QuantizeLinear", "DequantizeLinear"}


OLD, NEW = ("8.6",), ("10.3", "10.13", "11.4", "rtx")


class Trt:
    """A line of versions: its enums, and the GPU it runs on.

    The enums' integers differ between lines on purpose: nothing may rely on them.
    """

    def __init__(self, line: str, gpu: FakeGpu | None) -> None:
        self.line, self.gpu = line, gpu
        self.rtx, self.newest = line == "rtx", line in ("11.4", "rtx")
        strong = {"STRONGLY_TYPED": 0} if self.newest else {"EXPLICIT_BATCH": 0, "STRONGLY_TYPED": 1}
        if line in OLD:
            del strong["STRONGLY_TYPED"]
        flags = BUILDER_FLAGS if self.newest else [*PRECISION_FLAGS, *BUILDER_FLAGS]
        types_ = ["FLOAT", "HALF", "INT8", "INT32", "BOOL", "UINT8"] + ([] if line in OLD else ["FP8", "BF16", "INT64"])
        self.creation = enum.IntEnum("NetworkDefinitionCreationFlag", strong)
        self.flag = enum.IntEnum("BuilderFlag", {name: index for index, name in enumerate(flags)})
        self.type = enum.IntEnum("DataType", {name: index for index, name in enumerate(types_)})
        self.mode = enum.IntEnum("TensorIOMode", {"NONE": 0, "INPUT": 1, "OUTPUT": 2})
        self.pool = enum.IntEnum("MemoryPoolType", {"WORKSPACE": 0, "DLA_MANAGED_SRAM": 1})
        self.capability = enum.IntEnum("ComputeCapability", {"NONE": 0, "SM75": 75, "SM86": 86, "SM89": 89})

    def strong(self, flags: int) -> bool:
        """Whether flags ask for strong typing; no others may be set, and 8.x needs an explicit batch."""
        known = {member.name: 1 << int(member) for member in self.creation}
        assert not flags & ~sum(known.values()), "a flag that this version lacks"
        assert self.line not in OLD or flags & known["EXPLICIT_BATCH"], "8.x needs an explicit batch"
        return bool(flags & known.get("STRONGLY_TYPED", 0))


class Strict:
    """An object that has the names of its line and no others, and takes no new ones."""

    # Name -> the lines that have it; a name that is not here is in every line.
    only: ClassVar[dict[str, tuple[str, ...]]] = {}
    settable: tuple[str, ...] = ()

    def __init__(self, trt: Trt) -> None:
        self._trt = trt

    def __getattribute__(self, name: str) -> Any:
        lines = type(self).only.get(name)
        if lines is not None and self._trt.line not in lines:
            raise AttributeError(f"TensorRT {self._trt.line}: {type(self).__name__} has no {name}")
        return object.__getattribute__(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        lines = type(self).only.get(name)
        if not name.startswith("_") and (name not in self.settable or (lines and self._trt.line not in lines)):
            raise AttributeError(f"TensorRT {self._trt.line}: {type(self).__name__} has no {name} to set")
        object.__setattr__(self, name, value)


class Plan(bytearray):
    """``IHostMemory``: has a buffer and its size."""

    @property
    def nbytes(self) -> int:
        return len(self)


class ILogger:
    class Severity(enum.IntEnum):
        INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

    def log(self, severity: Any, text: str) -> None:
        raise NotImplementedError


def complain(logger: Any, text: str) -> None:
    logger.log(ILogger.Severity.ERROR, text)


def shape_of(info: Any) -> tuple[int, ...]:
    return tuple(dim.dim_value or -1 for dim in info.type.tensor_type.shape.dim)


class Tensor(Strict):
    def __init__(self, trt: Trt, name: str, shape: tuple[int, ...]) -> None:
        super().__init__(trt)
        self._name, self._shape = name, shape

    name = property(lambda self: self._name)
    shape = property(lambda self: self._shape)


class Network(Strict):
    def __init__(self, trt: Trt, strong: bool) -> None:
        super().__init__(trt)
        self._strong, self._model = strong, onnx.ModelProto()

    num_inputs = property(lambda self: len(self._model.graph.input))
    num_layers = property(lambda self: len(self._model.graph.node))

    def get_input(self, index: int) -> Tensor:
        info = self._model.graph.input[index]
        return Tensor(self._trt, info.name, shape_of(info))


class ParserError(Strict):
    only: ClassVar = {"node_name": NEW, "node_operator": NEW}

    def __init__(self, trt: Trt, node: int, name: str, operator: str, text: str) -> None:
        super().__init__(trt)
        self._said = (node, name, operator, text)

    def node(self) -> int:
        return self._said[0]

    def node_name(self) -> str:
        return self._said[1]

    def node_operator(self) -> str:
        return self._said[2]

    def desc(self) -> str:
        return self._said[3]


class OnnxParser(Strict):
    def __init__(self, trt: Trt, network: Network, logger: Any) -> None:
        super().__init__(trt)
        self._network, self._problems = network, list[ParserError]()

    num_errors = property(lambda self: len(self._problems))

    def get_error(self, index: int) -> ParserError:
        return self._problems[index]

    def parse_from_file(self, path: str) -> bool:
        try:
            model = onnx.load(path)
        except Exception:
            self._problems.append(ParserError(self._trt, -1, "", "", "Failed to parse the ONNX model."))
            return False
        self._network._model.CopyFrom(model)
        for index, node in enumerate(model.graph.node):
            if node.op_type not in OPERATORS:
                said = (index, node.name, node.op_type, "No importer registered for op.")
                self._problems.append(ParserError(self._trt, *said))
        return not self._problems


class TimingCache:
    def __init__(self, content: bytes) -> None:
        self._content = content

    def serialize(self) -> Plan:
        return Plan(self._content + b"+times")


class Profile(Strict):
    def __init__(self, trt: Trt) -> None:
        super().__init__(trt)
        self._shapes: dict[str, Any] = {}

    def set_shape(self, name: str, low: Any, usual: Any, high: Any) -> None:
        self._shapes[name] = (tuple(low), tuple(usual), tuple(high))


class Config(Strict):
    only: ClassVar = {"num_compute_capabilities": ("rtx",), "set_compute_capability": ("rtx",)}
    settable = ("builder_optimization_level", "num_compute_capabilities")

    def __init__(self, trt: Trt) -> None:
        super().__init__(trt)
        self._flags = {trt.flag["TF32"]}
        self._profiles: list[Profile] = []
        self._pools: dict[Any, int] = {}
        self._times: TimingCache | None = None
        self._capabilities: dict[int, Any] = {}
        self.builder_optimization_level = 3
        if trt.rtx:
            self.num_compute_capabilities = 0

    def set_flag(self, flag: Any) -> None:
        assert isinstance(flag, self._trt.flag)
        self._flags.add(flag)

    def clear_flag(self, flag: Any) -> None:
        self._flags.discard(flag)

    def set_memory_pool_limit(self, which: Any, size: int) -> None:
        self._pools[self._trt.pool(which)] = size

    def add_optimization_profile(self, profile: Profile) -> int:
        self._profiles.append(profile)
        return 0

    def create_timing_cache(self, content: bytes) -> TimingCache | None:
        return None if content == b"damaged" else TimingCache(content)

    def set_timing_cache(self, times: TimingCache, ignore_mismatch: bool) -> bool:
        self._times = times
        return True

    def get_timing_cache(self) -> TimingCache | None:
        return self._times

    def set_compute_capability(self, which: Any, index: int) -> bool:
        assert index < self.num_compute_capabilities
        self._capabilities[index] = self._trt.capability(which)
        return True


class Builder(Strict):
    def __init__(self, trt: Trt, logger: Any) -> None:
        super().__init__(trt)
        self._logger = logger
        if trt.gpu is None and not trt.rtx:
            complain(logger, "CUDA initialization failure with error: 35.")
            raise TypeError("pybind11::init(): factory function returned nullptr")

    def create_network(self, flags: int = 0) -> Network:
        return Network(self._trt, self._trt.strong(flags))

    def create_builder_config(self) -> Config:
        return Config(self._trt)

    def create_optimization_profile(self) -> Profile:
        return Profile(self._trt)

    def build_serialized_network(self, network: Network, config: Config) -> Plan | None:
        flags = sorted(flag.name for flag in config._flags)
        if network._strong and set(flags) & set(PRECISION_FLAGS):
            complain(self._logger, "a strongly typed network takes no precision flags")
            return None
        if any(-1 in shape_of(info) for info in network._model.graph.input) and not config._profiles:
            complain(self._logger, "Network has dynamic or shape inputs, but no optimization profile")
            return None
        head = {
            "version": VERSIONS[self._trt.line],
            "sm": self._trt.gpu.sm if self._trt.gpu else None,
            "flags": flags,
            "profile": [profile._shapes for profile in config._profiles],
            "capabilities": [entry.name for _, entry in sorted(config._capabilities.items())],
            "level": config.builder_optimization_level,
            "workspace": config._pools.get(self._trt.pool["WORKSPACE"]),
        }
        return Plan(json.dumps(head).encode() + b"\n" + network._model.SerializeToString())


class Engine(Strict):
    only: ClassVar = {"device_memory_size": ("8.6", "10.3", "10.13"), "device_memory_size_v2": NEW}

    def __init__(self, trt: Trt, head: dict[str, Any], graph: bytes) -> None:
        super().__init__(trt)
        model = onnx.load_from_string(graph)
        tensors = [model.graph.input[0], *model.graph.output]
        self._head, self._names = head, [info.name for info in tensors]
        self._kinds = {info.name: info.type.tensor_type.elem_type for info in tensors}
        self._shapes = {info.name: shape_of(info) for info in tensors}
        self._session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])

    num_io_tensors = property(lambda self: len(self._names))
    device_memory_size = device_memory_size_v2 = property(lambda self: 4096)

    def get_tensor_name(self, index: int) -> str:
        return self._names[index]

    def get_tensor_mode(self, name: str) -> Any:
        return self._trt.mode["OUTPUT" if self._names.index(name) else "INPUT"]

    def get_tensor_dtype(self, name: str) -> Any:
        return self._trt.type["UINT8" if self._kinds[name] == onnx.TensorProto.UINT8 else "FLOAT"]

    def create_execution_context(self) -> Context:
        return Context(self._trt, self)


class Context(Strict):
    def __init__(self, trt: Trt, engine: Engine) -> None:
        super().__init__(trt)
        self._engine, self._addresses = engine, dict[str, int]()
        self._shape = engine._shapes[engine._names[0]]

    def set_input_shape(self, name: str, shape: Any) -> bool:
        low, _, high = self._engine._head["profile"][0][name]
        self._shape = tuple(shape)
        return bool(low[0] <= shape[0] <= high[0])

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._addresses[name] = address
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        gpu = self._trt.gpu
        assert gpu is not None and stream_handle and -1 not in self._shape
        addresses, shape = dict(self._addresses), self._shape
        gpu.put(lambda: self._run(addresses, shape), RUN_MS)
        return True

    def _run(self, addresses: dict[str, int], shape: tuple[int, ...]) -> None:
        name, size = self._engine._names[0], int(np.prod(shape))
        source, target = (addresses[tensor] for tensor in self._engine._names)
        frames = np.frombuffer((ctypes.c_uint8 * size).from_address(source), np.uint8).reshape(shape)
        labels = np.ascontiguousarray(self._engine._session.run(None, {name: frames})[0])
        ctypes.memmove(target, labels.ctypes.data, labels.nbytes)


class Runtime(Strict):
    def __init__(self, trt: Trt, logger: Any) -> None:
        super().__init__(trt)
        self._logger = logger

    def deserialize_cuda_engine(self, plan: bytes) -> Engine | None:
        head, _, graph = bytes(plan).partition(b"\n")
        try:
            facts = json.loads(head)
        except ValueError:
            complain(self._logger, "Serialization assertion header.magicTag == kEXPECTED_MAGIC_TAG failed.")
            return None
        if facts["version"] != VERSIONS[self._trt.line]:
            complain(self._logger, "The engine plan file is not compatible with this version of TensorRT")
            return None
        if self._trt.gpu is None or facts["sm"] != self._trt.gpu.sm:
            complain(self._logger, "The engine plan file is generated on an incompatible device")
            return None
        return Engine(self._trt, facts, graph)


def make_tensorrt(line: str, gpu: FakeGpu | None) -> types.ModuleType:
    """The module of a line of versions, a key of ``VERSIONS``; without a GPU as on a machine that has no driver."""
    trt = Trt(line, gpu)
    module = types.ModuleType("tensorrt_rtx" if trt.rtx else "tensorrt")
    public: dict[str, Any] = {
        "__version__": VERSIONS[line],
        "ILogger": ILogger,
        "NetworkDefinitionCreationFlag": trt.creation,
        "BuilderFlag": trt.flag,
        "DataType": trt.type,
        "TensorIOMode": trt.mode,
        "MemoryPoolType": trt.pool,
        **({"ComputeCapability": trt.capability} if trt.rtx else {}),
        **{made.__name__: functools.partial(made, trt) for made in (OnnxParser, Builder, Runtime)},
    }
    for name, value in public.items():
        setattr(module, name, value)
    return module
