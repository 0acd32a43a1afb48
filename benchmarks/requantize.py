"""The same model once more, in another number format: two real models out of one GGUF file.

All metadata is kept but the format's own words; matrices are turned into the new type, and what
is stored in full (norms, biases) stays as it is. As llama.cpp's own quantizer does, the matrix
that picks the next token has 8 bits at least. Nothing is trained or calibrated, and what the
first quantization lost stays lost: a model for trying and measuring, not one to keep.

    python -m benchmarks.requantize IN.gguf OUT.gguf --type q8_0
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from gguf import (
    GGML_QUANT_SIZES,
    GGMLQuantizationType,
    GGUFReader,
    GGUFValueType,
    GGUFWriter,
    Keys,
    LlamaFileType,
    ReaderTensor,
    quant_shape_to_byte_shape,
)
from gguf.quants import dequantize, quantize

#: What can be written here; K-quants and smaller ones can only be read.
TYPES = ("q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "f16", "bf16")
_SMALL = ("q4_0", "q4_1", "q5_0", "q5_1")
#: Written by the writer itself, or anew.
_OWN = (Keys.General.ARCHITECTURE, Keys.General.FILE_TYPE)


def kind_of(tensor: ReaderTensor, form: str, *, tied: bool) -> GGMLQuantizationType:
    """The type that a tensor has in the new file: its own, where the new one cannot hold it."""
    row = int(tensor.shape[0])  # GGUF counts the innermost dimension first
    picks = "token_embd.weight" if tied else "output.weight"
    kind = GGMLQuantizationType["Q8_0" if tensor.name == picks and form in _SMALL else form.upper()]
    per_block, _ = GGML_QUANT_SIZES[kind]
    matrix = len(tensor.shape) == 2 and tensor.name.endswith(".weight")
    return kind if matrix and row % per_block == 0 else tensor.tensor_type


def requantize(source: Path, target: Path, form: str) -> None:
    """Write ``target``, whole or not at all. ``form`` is one of ``TYPES``."""
    reader = GGUFReader(source)
    tied = not any(tensor.name == "output.weight" for tensor in reader.tensors)
    kinds = [(tensor, kind_of(tensor, form, tied=tied)) for tensor in reader.tensors]
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as folder:
        partial = Path(folder) / target.name
        writer = GGUFWriter(partial, str(reader.fields[Keys.General.ARCHITECTURE].contents()))
        writer.add_file_type(LlamaFileType[f"MOSTLY_{form.upper()}"])
        _copy_metadata(reader, writer)
        for tensor, kind in kinds:
            _announce(writer, tensor, kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for tensor, kind in kinds:
            writer.write_tensor_data(_data(tensor, kind))
        writer.close()
        partial.replace(target)


def _copy_metadata(reader: GGUFReader, writer: GGUFWriter) -> None:
    for field in reader.fields.values():
        if field.name in _OWN or field.name.startswith("GGUF."):
            continue
        kind = field.types[0]
        inner = field.types[-1] if kind == GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), kind, sub_type=inner)


def _announce(writer: GGUFWriter, tensor: ReaderTensor, kind: GGMLQuantizationType) -> None:
    shape = tuple(int(each) for each in reversed(tensor.shape))
    stored = quant_shape_to_byte_shape(shape, kind)
    # The writer reads shapes of bytes for quantized types, and of numbers for plain ones.
    plain = {"F32": np.float32, "F16": np.float16}.get(kind.name)
    size = int(np.prod(stored))
    if plain is not None:
        writer.add_tensor_info(tensor.name, shape, np.dtype(plain), size, raw_dtype=kind)
    else:
        writer.add_tensor_info(tensor.name, stored, np.dtype(np.uint8), size, raw_dtype=kind)


def _data(tensor: ReaderTensor, kind: GGMLQuantizationType) -> np.ndarray:
    if kind == tensor.tensor_type:
        return tensor.data
    numbers = dequantize(tensor.data, tensor.tensor_type)
    shape = tuple(int(each) for each in reversed(tensor.shape))
    return quantize(np.ascontiguousarray(numbers.reshape(shape), np.float32), kind)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, metavar="IN.gguf")
    parser.add_argument("target", type=Path, metavar="OUT.gguf")
    parser.add_argument("--type", choices=TYPES, required=True, dest="form")
    arguments = parser.parse_args()
    if not arguments.source.is_file():
        sys.exit(f"{arguments.source} is not a file.")
    requantize(arguments.source, arguments.target, arguments.form)
    print(f"{arguments.target}: {arguments.target.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
