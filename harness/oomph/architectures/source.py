"""One way in for whatever names a model: a file, a URL, a published name, a config.json.

`read_model` decides which reader a reference is for, so that commands, sweeps and notebooks take
the same references and give the same errors; what was made of a name is in the spec's notes.
"""

import re
from dataclasses import replace
from pathlib import Path
from typing import Final

from oomph.architectures.catalogue import catalogue_model, is_catalogued
from oomph.architectures.file_size import split_file_size
from oomph.architectures.names import Name, example, meant, named, read_name
from oomph.architectures.spec import ModelSpec
from oomph.errors import ConfigError, ModelFileError, UnknownNameError
from oomph.foreign_text import without_password
from oomph.gguf.header import first_part
from oomph.gguf.published_types import is_quantization, other_program
from oomph.paths import is_remote
from oomph.units import size

MOST_LISTED: Final = 8

_CONFIG_REFERENCE: Final = re.compile(r"(?P<path>.*\.json)(?::(?P<quantization>[A-Za-z0-9_]+))?")
_CATALOGUE_REFERENCE: Final = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9._-]*):(?P<quantization>[A-Za-z0-9_-]+)"
)
_REPOSITORY_PAGE: Final = re.compile(
    r"(?:https?://(?:www\.)?(?:huggingface\.co|hf\.co)/|hf:)[\w.-]+/[\w.-]+(?:[:@][\w.-]+)?"
    r"(?:/tree/main)?/?",
    re.ASCII | re.IGNORECASE,
)


def read_model(reference: str | Path) -> ModelSpec:
    """The facts of the model that `reference` names, from its header or its published shape alone.

    `model.gguf` (one part of a split model stands for all), `https://…/model.gguf`,
    `hf:owner/repo/model.gguf`, a Hugging Face `config.json` (as stored, or `config.json:Q4_K_M`),
    or a name: `qwen3-30b-a3b:Q4_K_M`, `owner/repo:Q4_K_M`, Ollama's `qwen3:8b`, in any spelling, is
    a published shape in llama.cpp's quantization. `NAME@16.68GiB` says the size of its file too, to
    which the weights are then fitted. Raises ModelFileError for a file that is missing or
    malformed, UnknownNameError for a name that the catalogue lacks.
    """
    text = str(reference)
    path, file_bytes = Path(text), None
    if text and not path.exists():
        text, file_bytes = split_file_size(text)
        path = Path(text)
    is_page = _REPOSITORY_PAGE.fullmatch(text) and not text.lower().endswith(".gguf")
    config = _CONFIG_REFERENCE.fullmatch(text)
    is_remote_file = is_remote(text) and not is_page
    if file_bytes and (is_remote_file or config or path.exists()):
        raise ConfigError(
            f"{without_password(text)} says its own size; leave --file-size out, which is for names"
        )
    if is_remote_file:
        from oomph.architectures.from_gguf import spec_from_gguf
        from oomph.gguf.remote import read_remote_gguf

        return spec_from_gguf(read_remote_gguf(text), source=without_password(text))
    if config:
        from oomph.architectures.hf_config import read_hf_config

        return read_hf_config(config["path"], config["quantization"])
    if text and path.exists():
        return _read_folder(path) if path.is_dir() else _read_file(path)
    if is_page:
        text = text.rstrip("/").removesuffix("/tree/main")
    elif _is_path(text):
        raise ModelFileError(f"{text} does not exist; check the path{_without_file(path.name)}")
    return _read_name(text, file_bytes)


def _is_path(text: str) -> bool:
    """Whether a text can only be meant as a path, to something that is not here."""
    if text.startswith(("/", "./", "../", "~", ".\\", "\\")) or re.match(r"[A-Za-z]:[\\/]", text):
        return True
    inside = re.sub(r"^(?:https?://)?(?:huggingface\.co|hf\.co)/", "", text)
    is_file = inside.lower().endswith(".gguf") and "/" in inside
    return not text or "\\" in text or inside.count("/") > 1 or is_file


def _without_file(name: str) -> str:
    """What a file that is not here reads as by its name, for the end of a sentence."""
    try:
        found = named(name)
    except UnknownNameError:
        return ", or run `oomph demo-model` for a file to try"
    return f" (its name reads as {found.model}:{found.quantization}, which needs no file)"


def _read_file(path: Path) -> ModelSpec:
    from oomph.architectures.from_gguf import read_model_file

    return read_model_file(path)


def _read_folder(path: Path) -> ModelSpec:
    """The config.json of a checkpoint's folder. ModelFileError says what else is in the folder."""
    if (path / "config.json").is_file():
        from oomph.architectures.hf_config import read_hf_config

        return read_hf_config(path / "config.json")
    try:
        files = sorted(item.name for item in path.iterdir() if item.is_file())
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read ({error.strerror})") from None
    ggufs = dict.fromkeys(first_part(n) for n in files if n.lower().endswith(".gguf"))
    if ggufs:
        listed = ", ".join(str(path / name) for name in list(ggufs)[:MOST_LISTED])
        raise ModelFileError(f"{path} is a folder; name one file of it: {listed}")
    raise ModelFileError(
        f"{path} is a folder without a GGUF file or a config.json; name a file, or a model as "
        "qwen3-30b-a3b:Q4_K_M"
    )


def _read_name(text: str, file_bytes: int | None) -> ModelSpec:
    """A model of the catalogue by whatever name, which is said in its notes."""
    exact = _CATALOGUE_REFERENCE.fullmatch(text)
    if exact and is_catalogued(exact["name"]) and is_quantization(exact["quantization"]):
        return catalogue_model(exact["name"], exact["quantization"], file_bytes=file_bytes)
    found = read_name(text)
    is_meant = ":" in text or found.quantization or "gguf" in text.lower()
    if found.model is None and found.repository and is_meant:
        raise ModelFileError(_of_repository(found))
    is_a_name = ":" in text or found.quantization or other_program(text)
    if found.model is None and not is_a_name:
        near = f", or {meant(found)}" if found.near else _without_file(text)
        raise ModelFileError(f"{text} does not exist; check the path{near}")
    is_file = text.lower().endswith(".gguf")
    if is_file and found.model and not found.quantization:
        raise ModelFileError(
            f"{text} does not exist; check the path, or name a quantization, as "
            f"{example(found.model)}"
        )
    found = named(text)
    model, quantization = str(found.model), str(found.quantization)
    try:
        spec = catalogue_model(model, quantization, file_bytes=file_bytes)
    except UnknownNameError as error:
        if found.repository is None:
            raise
        raise UnknownNameError(f"{error}{_listed(found)}") from None
    notes = [f"{text} is read as {spec.source}, by its name alone", *found.notes]
    if is_file:
        notes[0] += ": no such file is here"
    if found.repository:
        notes[0] += f" (hf:{found.repository}/FILE.gguf reads the very file)"
    return replace(spec, notes=(*notes, *spec.notes))


def _of_repository(found: Name) -> str:
    """How to get at the exact figure of a repository's file."""
    near = f"; {meant(found)}" if found.near else ""
    return (
        f"{found.text} is of no model of the catalogue; hf:{found.repository}/FILE.gguf reads the "
        f"header of the very file{_listed(found)}{near}"
    )


def _listed(found: Name) -> str:
    """The files of the repository, those of the quantization first; or why they are not known."""
    from oomph.gguf.remote import repository_files

    try:
        files = repository_files(str(found.repository))
    except ModelFileError as error:
        return f"; its files are not known here: {error}"
    wanted = (found.quantization or "").upper().replace("-", "_")
    files.sort(key=lambda file: not wanted or wanted not in file[0].upper().replace("-", "_"))
    listed = ", ".join(
        f"hf:{found.repository}/{name} ({size(n_bytes)})" for name, n_bytes in files[:MOST_LISTED]
    )
    more = f" and {len(files) - MOST_LISTED} more" if len(files) > MOST_LISTED else ""
    return f"; it has {listed}{more}" if files else "; it has no GGUF file"
