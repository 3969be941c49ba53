"""What a file is that is no GGUF model: by its first bytes, or by what its GGUF header says.

For one sentence to somebody who named a checkpoint, a projector or a page that was saved as a
model.
"""

from collections.abc import Mapping
from typing import Any, Final

KNOWN_BY_BYTES: Final = 64
"""How much of a file's start tells what it is."""

_CONFIG: Final = "name the config.json beside it with a quantization (config.json:Q4_K_M)"
_AGAIN: Final = "download the file itself again (on Hugging Face by its /resolve/ address)"
_STARTS: Final = (
    (
        b"version https://git-lfs",
        "a Git LFS pointer and not the file that it stands for; run `git lfs pull` in its folder",
    ),
    (b"<!doctype", f"an HTML page and no model; {_AGAIN}"),
    (b"<html", f"an HTML page and no model; {_AGAIN}"),
    (b"<?xml", f"an XML text and no model; {_AGAIN}"),
    (b"entry not found", f"a server's error text and no model; {_AGAIN}"),
    (b"invalid ", f"a server's error text and no model; {_AGAIN}"),
    (b"access to ", f"a server's refusal and no model; set HF_TOKEN and {_AGAIN}"),
    (b'{"error', f"a server's error text and no model; {_AGAIN}"),
    (b"{", "a JSON text and no model; if it is a model's, name it config.json"),
    (b"pk\x03\x04", "a zip archive (PyTorch's .bin and .pt are ones) and no GGUF; unpack it, or "
     + _CONFIG),
    (b"\x1f\x8b", "a gzip archive and no GGUF; unpack it"),
    (b"7z\xbc\xaf", "a 7z archive and no GGUF; unpack it"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive and no GGUF; unpack it"),
    (b"rar!", "a RAR archive and no GGUF; unpack it"),
    (b"tjgg", "a GGML file of before August 2023, which llama.cpp no longer loads; take a GGUF"),
    (b"lmgg", "a GGML file of before August 2023, which llama.cpp no longer loads; take a GGUF"),
    (b"fmgg", "a GGML file of before August 2023, which llama.cpp no longer loads; take a GGUF"),
    (b"\x80\x02", f"a PyTorch pickle and no GGUF; convert it, or {_CONFIG}"),
    (b"%pdf", f"a PDF and no model; {_AGAIN}"),
)  # fmt: skip
"""What files begin with, in lower case, and what they are with the next step."""


def kind_of_start(start: bytes) -> str | None:
    """What a file that begins so is, with the next step; None for what is not known, or GGUF."""
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start[8:10] == b'{"' and start[4:8] == bytes(4):  # a length of 8 bytes, then JSON
        return (
            f"a safetensors file, which llama.cpp does not load; convert it to GGUF, or {_CONFIG}"
        )
    return next((what for mark, what in _STARTS if text.startswith(mark)), None)


def kind_of_header(metadata: Mapping[str, Any]) -> str | None:
    """What a GGUF file with this metadata is if it is no model by itself, with the next step."""
    kind, arch = metadata.get("general.type"), metadata.get("general.architecture")
    if kind == "mmproj" or arch == "clip":
        return (
            "a projector (mmproj), which sees images or hears for a model and is none itself; name "
            "the model's own file"
        )
    if kind == "adapter" or "adapter.type" in metadata:
        return "an adapter (LoRA), which goes on top of a model; name the model's own file"
    if kind == "imatrix" or "imatrix.chunk_count" in metadata:
        return "an importance matrix (imatrix), made to quantize a model; name the model's own file"
    if arch == "controlvector":
        return "a control vector, which goes on top of a model; name the model's own file"
    return None
