"""What the export pins of a file: the operators that the file itself holds, and none that a unit does not have."""

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from models import evaluate
from models.pinning import ForeignOperator, entry_of

OCR = evaluate.MODELS / "ocr.tflite"
OUTPUTS = ("text", "region")


def test_operators_are_those_of_the_file_and_of_no_delegate():
    operators = entry_of(OCR, OUTPUTS, {})["operators"]
    assert "CONV_2D" in operators
    assert "DELEGATE" not in operators


def test_an_operator_that_no_unit_has_is_refused(tmp_path):
    content = OCR.read_bytes()
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    for one in model.buffers:  # which lie behind the table of the file, at an offset that would not be right any more
        if one.offset > 1:
            one.data = np.frombuffer(content[one.offset : one.offset + one.size], np.uint8)
            one.offset = one.size = 0
    code = next(one for one in model.operatorCodes if one.builtinCode == schema.BuiltinOperator.MEAN)
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode = b"OwnMean"
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    path = tmp_path / "own.tflite"
    path.write_bytes(bytes(builder.Output()))
    with pytest.raises(ForeignOperator, match=r"own\.tflite.*OwnMean") as raised:
        entry_of(path, OUTPUTS, {})
    assert "\n" not in str(raised.value)


def test_a_file_that_is_no_network_is_refused(tmp_path):
    path = tmp_path / "none.tflite"
    path.write_bytes(b"none")
    with pytest.raises(ForeignOperator, match=r"none\.tflite"):
        entry_of(path, OUTPUTS, {})
