"""What is written is what protobuf reads, and the other way round."""

from __future__ import annotations

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from segkd_deploy.onnx_file import wire

NUMBERS = st.integers(0, 2**64 - 1)


@given(st.lists(st.tuples(st.integers(1, 2**29 - 1), st.one_of(NUMBERS, st.binary(max_size=300)))))
def test_fields_come_back_as_they_were_put(parts: list[tuple[int, int | bytes]]) -> None:
    put = [wire.put_integer(n, v) if isinstance(v, int) else wire.put_bytes(n, v) for n, v in parts]
    content = memoryview(b"".join(put))
    read = list(wire.fields(content))
    assert [(number, value if isinstance(value, int) else bytes(value)) for number, _, value in read] == parts
    for _, start, value in read:
        assert isinstance(value, int) or content[start : start + len(value)] == value


@pytest.mark.parametrize("content", [b"\x0a\x05abc", b"\x0d\x00", b"\x0b", b"\x02\x00"])
def test_what_is_no_message_is_an_error(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"ends inside a field|wire type"):
        list(wire.fields(memoryview(content)))


def test_a_number_ends_within_64_bits() -> None:
    with pytest.raises(ValueError, match="too long"):
        wire.varint(memoryview(b"\x80" * 11), 0)
    with pytest.raises(IndexError):
        wire.varint(memoryview(b"\x80"), 0)


def test_packed_numbers_have_a_sign() -> None:
    tensor = onnx.TensorProto(int64_data=[3, -1, 300, -(2**63)])
    (packed,) = wire.messages(memoryview(tensor.SerializeToString()), wire.TENSOR_INT64S)
    assert list(wire.varints(packed)) == [3, -1, 300, -(2**63)]


def test_a_node_is_what_onnx_says() -> None:
    node = helper.make_node("Odd", ["a", "b"], ["c"], name="here", axis=-1, keepdims=0, mode="linear", code=b"\xff")
    read = wire.read_node(memoryview(node.SerializeToString()))
    assert (read.op_type, read.name, read.inputs, read.outputs) == ("Odd", "here", ("a", "b"), ("c",))
    assert read.attributes == {"axis": -1, "keepdims": 0, "mode": "linear", "code": "\ufffd"}


def test_field_numbers_are_those_of_onnx() -> None:
    numbers = {
        onnx.ModelProto: {
            "graph": wire.MODEL_GRAPH,
            "metadata_props": wire.MODEL_METADATA,
            "opset_import": wire.MODEL_OPSET,
        },
        onnx.GraphProto: {"node": wire.GRAPH_NODE, "initializer": wire.GRAPH_INITIALIZER, "output": wire.GRAPH_OUTPUT},
        onnx.TensorProto: {"data_type": wire.TENSOR_TYPE, "raw_data": wire.TENSOR_RAW, "name": wire.TENSOR_NAME},
        onnx.AttributeProto: {"i": wire.ATTRIBUTE_INT, "s": wire.ATTRIBUTE_TEXT, "graphs": wire.ATTRIBUTE_GRAPHS},
    }
    for message, expected in numbers.items():
        assert {name: message.DESCRIPTOR.fields_by_name[name].number for name in expected} == expected
