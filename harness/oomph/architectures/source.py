"""One way in for whatever names a model: a file, a URL, a published name, a config.json.

Stands apart from the readers so that commands, sweeps and notebooks take the same references and
give the same errors: `read_model` decides which reader a reference is for, and nothing else.
"""

import re
from pathlib import Path
from typing import Final

from oomph.architectures.catalogue import catalogue_model, catalogue_names
from oomph.architectures.from_gguf import read_model_file, spec_from_gguf
from oomph.architectures.hf_config import read_hf_config
from oomph.architectures.spec import ModelSpec
from oomph.errors import UnknownNameError
from oomph.foreign_text import without_password
from oomph.gguf.remote import is_remote, read_remote_gguf

_CONFIG_REFERENCE: Final = re.compile(r"(?P<path>.*\.json)(?::(?P<quantization>[A-Za-z0-9_]+))?")
_CATALOGUE_REFERENCE: Final = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9._-]*):(?P<quantization>[A-Za-z0-9_]+)"
)


def read_model(reference: str | Path) -> ModelSpec:
    """The facts of the model that `reference` names, from its header or its published shape alone.

    `model.gguf` (one part of a split model stands for all), `https://…/model.gguf`,
    `hf:owner/repo/model.gguf`, `qwen3-30b-a3b:Q4_K_M` (a published shape in llama.cpp's
    quantization: no file), or a Hugging Face `config.json` (as stored, or `config.json:Q4_K_M`).
    Raises ModelFileError for a file that is missing or malformed, UnknownNameError for a name that
    the catalogue lacks.
    """
    text = str(reference)
    if is_remote(text):
        return spec_from_gguf(read_remote_gguf(text), source=without_password(text))
    if config := _CONFIG_REFERENCE.fullmatch(text):
        return read_hf_config(config["path"], config["quantization"])
    path = Path(text)
    if (path / "config.json").is_file():
        return read_hf_config(path / "config.json")
    if not path.exists():
        if match := _CATALOGUE_REFERENCE.fullmatch(text):
            return catalogue_model(match["name"], match["quantization"])
        if text.lower() in catalogue_names():
            raise UnknownNameError(
                f"{text}: say in which quantization too, for example {text.lower()}:Q4_K_M"
            )
    return read_model_file(path)
