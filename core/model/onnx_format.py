"""The parts of an ONNX file that say whether it is whole in itself.

A tensor of an ONNX file may name another file that holds its values, any file that the process can
read. Ours hold everything themselves, so that the fingerprint covers it; others are refused.
"""

from collections.abc import Iterator

_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5
_FIXED_SIZES = {_FIXED_64: 8, _FIXED_32: 4}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
"""Fields of TensorProto that only a tensor with external data has."""
_PARTS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {
        **{5: "tensor", 6: "graph", 10: "tensor", 11: "graph"},
        **{22: "sparse", 23: "sparse"},
    },
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
"""Fields of each message of onnx.proto that lead to tensors, with the message that they hold."""
_GRAPH, _OPERATOR_SETS = 7, 8
"""Fields that every model has; a file may be cut off between two fields."""
_MAX_DEPTH = 40


def has_external_data(model: bytes) -> bool:
    """Return True if a tensor of an ONNX file takes its values from another file.

    Raises:
        ValueError: The bytes are no ONNX file.
    """
    message = memoryview(model)
    if not {_GRAPH, _OPERATOR_SETS} <= {field for field, _ in _fields(message)}:
        raise ValueError("it is cut off")
    return _refers_elsewhere(message, "model", _MAX_DEPTH)


def _refers_elsewhere(message: memoryview, kind: str, depth: int) -> bool:
    """Return True if a message, or one inside it, is a tensor with external data."""
    if not depth:
        raise ValueError("its graphs are nested too deeply")
    for field, value in _fields(message):
        if kind == "tensor" and field == _EXTERNAL_DATA:
            return True
        if kind == "tensor" and field == _DATA_LOCATION and value != 0:
            return True
        part = _PARTS[kind].get(field)
        if part and isinstance(value, memoryview) and _refers_elsewhere(value, part, depth - 1):
            return True
    return False


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Yield number and value of each field of a protobuf message; fixed numbers are skipped."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        field, wire_type = key >> 3, key & 7
        if wire_type == _VARINT:
            value, position = _varint(message, position)
            yield field, value
            continue
        if wire_type == _BYTES:
            size, position = _varint(message, position)
        elif wire_type in _FIXED_SIZES:
            size = _FIXED_SIZES[wire_type]
        else:
            raise ValueError("it is damaged")
        if position + size > len(message):
            raise ValueError("it is cut off")
        if wire_type == _BYTES:
            yield field, message[position : position + size]
        position += size


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """Return the number at a position, and the position behind it."""
    number = 0
    for shift, byte in enumerate(message[position : position + 10]):
        number |= (byte & 0x7F) << (7 * shift)
        if not byte & 0x80:
            return number, position + shift + 1
    raise ValueError("it is cut off")
