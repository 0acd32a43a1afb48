"""What llama.cpp's server says of a model file that it cannot use. Pure.

Seen with build 11434: files that are missing, unreadable, empty, cut short at seven places, of
another kind, of a newer form, with a tensor, a family of models or a tokenizer of another name.
"""

from __future__ import annotations

from deployctl.diagnosis.remedies import fetch_again, may_read, newer_image, same
from deployctl.diagnosis.signs import BROAD, WRAPPER, Found, Sign, pattern
from deployctl.engines.llama_cpp import KIND


def _no_gguf(found: Found) -> str:
    magic = found.word("magic")
    kinds = {
        "<": "a web page",
        "{": "an error message of a web server",
        "vers": "the placeholder of a file that Git LFS keeps elsewhere",
        "PK": "a ZIP archive",
    }
    what = next((kind for start, kind in kinds.items() if magic.startswith(start)), None)
    starts = f"it begins with {magic!r} instead of 'GGUF'"
    return (
        f"The model file is {what}: {starts}." if what else f"The model file is no GGUF: {starts}."
    )


FILES = (
    Sign(
        code="engine-weights-missing",
        about=KIND,
        pattern=pattern(
            r"failed to open GGUF file '(?P<file>[^']*)' \(No such file or directory\)"
        ),
        seen="failed to open GGUF file … (No such file or directory)",
        cause="The model file is not in the engine's container.",
        way_out="the same `up` once more: it fetches what is missing",
        remedy=same,
        sample="0.00.006.720 E gguf_init_from_file: failed to open GGUF file '/models/nope.gguf' "
        "(No such file or directory)",
        message="The engine does not find its model file, {file}.",
    ),
    Sign(
        code="engine-weights-denied",
        about=KIND,
        pattern=pattern(r"failed to open GGUF file '(?P<file>[^']*)' \(Permission denied\)"),
        seen="failed to open GGUF file … (Permission denied)",
        cause="The engine runs as a user of its own, and that user may not read the model file.",
        way_out="`chmod -R a+rX` on it, and the same `up`",
        remedy=may_read,
        sample="0.00.006.489 E gguf_init_from_file: failed to open GGUF file "
        "'/models/secret.gguf' (Permission denied)",
        message="The engine may not read its model file, {file}: it runs as a user of its own.",
    ),
    Sign(
        code="engine-weights-invalid",
        about=KIND,
        pattern=pattern(r"invalid magic characters: '(?P<magic>[^']*)', expected 'GGUF'"),
        seen="invalid magic characters: '<!DO', expected 'GGUF'",
        cause="The model file is something else, like a web page saved under its name.",
        way_out="delete it and fetch it again; look where the source really leads",
        remedy=fetch_again,
        sample="0.00.009.204 E gguf_init_from_reader: invalid magic characters: '<!DO', "
        "expected 'GGUF'",
        message=_no_gguf,
    ),
    Sign(
        code="engine-weights-invalid",
        about=KIND,
        pattern=pattern(r"tensor '(?P<tensor>[^']*)' data is not within the file bounds"),
        seen="tensor … data is not within the file bounds",
        cause="The model file is cut short: a download or a copy ended early.",
        way_out="delete it and fetch it again",
        remedy=fetch_again,
        sample="0.00.025.441 E llama_model_load: error loading model: tensor "
        "'blk.16.ffn_down.weight' data is not within the file bounds, model is corrupted or "
        "incomplete",
        message="The model file is cut short: `{tensor}` lies beyond its end.",
    ),
    Sign(
        code="engine-model-unsupported",
        about=KIND,
        pattern=pattern(r"this GGUF file is version (?P<version>\d+) but this software only"),
        seen="this GGUF file is version … but this software only supports up to …",
        cause="The model file is written in a newer form of GGUF than the image knows, or damaged.",
        way_out="the profile's own image, or another model",
        remedy=newer_image,
        sample="0.00.006.302 E gguf_init_from_reader: this GGUF file is version 9 but this "
        "software only supports up to version 3",
        message="The model file is GGUF version {version}, which this image does not know; or its "
        "first bytes are damaged.",
    ),
    Sign(
        code="engine-weights-invalid",
        about=KIND,
        pattern=pattern(r"failed to read (?:magic|header|key-value pairs|tensor info|tensor data)"),
        seen="failed to read magic · header · key-value pairs · tensor info",
        cause="The model file is empty, or ends within its own table of contents.",
        way_out="delete it and fetch it again",
        remedy=fetch_again,
        sample="0.00.006.377 E gguf_init_from_reader: failed to read key-value pairs",
        rank=BROAD,
    ),
    Sign(
        code="engine-weights-invalid",
        about=KIND,
        pattern=pattern(
            r"tensor '(?P<tensor>[^']*)' (?:not found|has wrong shape|has invalid (?:data|ggml))"
            r"|wrong number of tensors|corrupted model: \d+ tensors expected"
        ),
        seen="tensor … not found · has wrong shape · wrong number of tensors",
        cause="The model file does not hold the tensors that its own header promises.",
        way_out="delete it and fetch it again, or take another publisher's file",
        remedy=fetch_again,
        sample="0.00.151.675 E llama_model_load: error loading model: check_tensor_dims: tensor "
        "'blk.5.attn_q.weight' not found",
    ),
    Sign(
        code="engine-model-unsupported",
        about=KIND,
        pattern=pattern(r"unknown model architecture: '(?P<name>[^']*)'"),
        seen="unknown model architecture: …",
        cause="The engine's image is too old for this family of models, or does not have it.",
        way_out="the profile's own image, or another model",
        remedy=newer_image,
        sample="0.00.042.893 E llama_model_load: error loading model: unknown model architecture: "
        "'zebra'",
        message="The engine's image does not know models of the family `{name}`.",
    ),
    Sign(
        code="engine-model-unsupported",
        about=KIND,
        pattern=pattern(r"unknown (?:pre-tokenizer type|tokenizer): '(?P<name>[^']*)'"),
        seen="unknown pre-tokenizer type · unknown tokenizer",
        cause="The engine's image is too old for the way this model splits words.",
        way_out="the profile's own image, or another model",
        remedy=newer_image,
        sample="0.00.064.682 E llama_model_load: error loading model: error loading model "
        "vocabulary: unknown pre-tokenizer type: 'zebras'",
        message="The engine's image does not know how this model splits words (`{name}`).",
    ),
    Sign(
        code="engine-weights-invalid",
        about=KIND,
        pattern=pattern(r"error loading model: (?P<said>.+)"),
        seen="error loading model: …",
        cause="The engine cannot use the model file, and says why in its own words.",
        way_out="delete it and fetch it again",
        remedy=fetch_again,
        sample="0.00.009.448 E llama_model_load: error loading model: read error: Input/output "
        "error",
        message="The engine cannot use the model file: {said}.",
        rank=WRAPPER,
    ),
)
