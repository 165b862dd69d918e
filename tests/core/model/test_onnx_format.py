"""An ONNX file that takes values from other files is recognised wherever it says so."""

from contextlib import suppress

import numpy as np
import onnx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from core.model.bundle import DEFAULT_BUNDLE, NETWORK
from core.model.onnx_format import has_external_data


def tensor(*, external: bool) -> TensorProto:
    values = helper.make_tensor("w", TensorProto.FLOAT, [2], np.ones(2, np.float32))
    if external:
        values.ClearField("float_data")
        values.data_location = TensorProto.EXTERNAL
        entry = values.external_data.add()
        entry.key, entry.value = "location", "/etc/passwd"
    return values


def identity(**attributes: object) -> onnx.NodeProto:
    return helper.make_node("Identity", ["x"], ["y"], **attributes)


def graph(*nodes: onnx.NodeProto, initializers: tuple[TensorProto, ...] = ()) -> onnx.GraphProto:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy")
    return helper.make_graph([*nodes, identity()], "g", [x], [y], initializer=initializers)


def sparse(values: TensorProto) -> onnx.SparseTensorProto:
    indices = helper.make_tensor("i", TensorProto.INT64, [2], [0, 1])
    return helper.make_sparse_tensor(values, indices, [4])


def in_an_initializer(values: TensorProto) -> onnx.ModelProto:
    return helper.make_model(graph(initializers=(values,)))


def in_a_constant(values: TensorProto) -> onnx.ModelProto:
    return helper.make_model(graph(helper.make_node("Constant", [], ["c"], value=values)))


def in_a_list(values: TensorProto) -> onnx.ModelProto:
    return helper.make_model(graph(identity(list=[values, values])))


def in_a_branch(values: TensorProto) -> onnx.ModelProto:
    inner = graph(identity(then_branch=graph(initializers=(values,))))
    return helper.make_model(graph(identity(then_branch=inner)))


def in_a_sparse_initializer(values: TensorProto) -> onnx.ModelProto:
    model = helper.make_model(graph())
    model.graph.sparse_initializer.append(sparse(values))
    return model


def in_a_function(values: TensorProto) -> onnx.ModelProto:
    model = helper.make_model(graph())
    constant = helper.make_node("Constant", [], ["y"], value=values)
    model.functions.append(helper.make_function("d", "f", ["x"], ["y"], [constant], []))
    return model


@pytest.mark.parametrize(
    "placed",
    [
        in_an_initializer,
        in_a_constant,
        in_a_list,
        in_a_branch,
        in_a_sparse_initializer,
        in_a_function,
    ],
)
def test_external_data_is_found_wherever_a_tensor_may_stand(placed):
    assert has_external_data(placed(tensor(external=True)).SerializeToString())
    assert not has_external_data(placed(tensor(external=False)).SerializeToString())


def test_a_location_alone_is_enough():
    values = tensor(external=True)
    values.ClearField("data_location")

    assert has_external_data(in_an_initializer(values).SerializeToString())


@given(size=st.integers(1, 4000))
@example(size=4)  # between two fields
def test_a_file_that_is_cut_off_is_no_answer(size):
    whole = (DEFAULT_BUNDLE / NETWORK).read_bytes()

    with pytest.raises(ValueError, match=r"cut off|damaged"):
        has_external_data(whole[:-size])


@given(data=st.binary(max_size=300))
def test_any_bytes_get_an_answer_or_a_value_error(data):
    with suppress(ValueError):
        assert has_external_data(data) in (True, False)
