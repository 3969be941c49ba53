"""From a model's name as people write it to a model of the catalogue and a quantization.

`unsloth/Qwen3-30B-A3B-GGUF:Q4_K_M` (llama-server's -hf), `qwen3:30b-a3b` (Ollama's), the name of a
file that is not here, any case and any separators. What is not told apart is not guessed: the
nearest names are said instead.
"""

import difflib
import re
from functools import cache
from typing import Final

from oomph.architectures.catalogue import (
    WITH_HEAD,
    Entry,
    catalogue_entries,
    catalogue_names,
    counts_head,
    has_head,
    is_catalogued,
    usual_quantization,
)
from oomph.errors import UnknownNameError
from oomph.frozen import frozen
from oomph.gguf.published_types import other_program, read_quantization, split_quantization
from oomph.patterns import late_pattern

HF_USUAL: Final = "Q4_K_M"
"""What llama-server's -hf takes of a repository where no quantization is named (common/arg.cpp)."""

_PREFIX: Final = late_pattern(
    r"^(?:hf:|(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/"
    r"|(?:https?://)?(?:registry\.)?ollama\.(?:com|ai)/(?:library/)?|library/)",
    re.IGNORECASE,
)
_FILE_END: Final = late_pattern(r"(?:-\d{5}-of-\d{5})?\.gguf$", re.IGNORECASE)
_REPOSITORY: Final = late_pattern(r"(?P<owner>[\w.-]+)/(?P<repo>[\w.-]+)", re.ASCII)
_SIZE: Final = late_pattern(r"(?:\d+x)?e?\d+(?:\.\d+)?[bm]")
_NOISE: Final = frozenset(
    (
        "instruct",
        "it",
        "inst",
        "chat",
        "base",
        "thinking",
        "pt",
        "hf",
        "gguf",
        "imatrix",
        "i1",
        "latest",
        "meta",
        "nvidia",
        "c4ai",
        "abliterated",
        "heretic",
        "mtp",
    )
)
"""Words of releases, makers and files that leave a model's shape as it is."""
_MTP_NOTE: Final = (
    "the file's layers for multi-token prediction (MTP) are not known and not counted: llama.cpp "
    "loads them with --spec-type draft-mtp only"
)
_OTHER_RELEASES: Final = {
    "command-r:35b": "Ollama's command-r:35b is the release of 08-2024, of another shape than "
    "command-r-35b, which the catalogue has"
}
MOST_NEAR: Final = 4


@frozen
class Name:
    """What a text names: a model of the catalogue, if that is known, and a quantization, if one
    stands there; `repository` is its owner/repo where the text has that form."""

    text: str
    model: str | None
    quantization: str | None
    repository: str | None
    notes: tuple[str, ...] = ()
    near: tuple[str, ...] = ()


def read_name(text: str) -> Name:
    """What `text` names. UnknownNameError where its quantization is no llama.cpp one, or where it
    is known to be another model than it seems."""
    bare = _FILE_END.sub("", _PREFIX.sub("", text.strip()))
    repository = None
    if bare.count("/") == 1:
        owner_repo, at, tag = _split_tag(bare)
        if match := _REPOSITORY.fullmatch(owner_repo):
            repository = owner_repo
            bare = match["repo"] + at + tag
    model_text, quantization = split_quantization(bare)
    model_text = model_text.rstrip(" :@-_")
    if why := _OTHER_RELEASES.get(model_text.lower()):
        raise UnknownNameError(f"{text}: {why}; name the file (hf:owner/repo/FILE.gguf)")
    model = _find(model_text, is_whole_tag=quantization is None)
    notes: list[str] = []
    if model and not quantization:
        quantization, why = _default(model_text, repository, _entries()[model])
        notes += [why] if why else []
    if model and "mtp" in _words(model_text):
        if has_head(model):
            model += WITH_HEAD
        elif not counts_head(model):
            notes.append(_MTP_NOTE)
    near = () if model else _nearest(model_text)
    return Name(
        text=text,
        model=model,
        quantization=quantization,
        repository=repository,
        notes=tuple(notes),
        near=near,
    )


def catalogue_name(text: str) -> str | None:
    """The catalogue's model that `text` names without a quantization; None for anything else."""
    if is_catalogued(text):  # spares the reading of all other names
        return text
    try:
        found = read_name(text)
    except UnknownNameError:
        return None
    return found.model if found.quantization is None and not found.repository else None


def named(text: str) -> Name:
    """A model and a quantization that `text` names, both known. UnknownNameError says what is
    missing, what is near, or whose format it is."""
    found = read_name(text)
    if found.quantization is None and (format_name := other_program(text)):
        examples = [example(name) for name in (found.model, *found.near) if name][:1]
        raise UnknownNameError(
            f"{text} is by its name in {format_name}, which llama.cpp does not load; name a GGUF "
            f"of the model ({' or '.join((*examples, 'hf:owner/repo/FILE.gguf'))})"
        )
    if found.quantization:
        read_quantization(found.quantization)
    if found.model is None:
        raise UnknownNameError(f"{text} is no model of the catalogue; {meant(found)}")
    if found.quantization is None:
        raise UnknownNameError(
            f"{text}: say in which quantization too, for example {example(found.model)}"
        )
    return found


def example(model: str) -> str:
    """A file of the catalogue's model as one may name it."""
    return f"{model}:{usual_quantization(model)}"


def meant(found: Name) -> str:
    """`did you mean …`, with the quantization that was asked for."""
    asked = found.quantization
    near = " or ".join(f"{name}:{asked}" if asked else example(name) for name in found.near)
    listed = "`oomph models` lists the catalogue"
    return f"did you mean {near} ({listed})?" if near else listed


def _split_tag(text: str) -> tuple[str, str, str]:
    """What stands before and after the last colon (or LM Studio's @), and that sign."""
    at = max(text.rfind(":"), text.rfind("@"))
    return (text, "", "") if at < 0 else (text[:at], text[at], text[at + 1 :])


def _default(text: str, repository: str | None, entry: Entry) -> tuple[str | None, str]:
    """The quantization that a program takes where none is named, and how that is known."""
    if repository:
        if "gguf" not in _words(text):
            return None, ""
        return HF_USUAL, f"no quantization is named: llama-server's -hf takes {HF_USUAL}"
    if ":" in text:
        why = (
            f"no quantization is named: taken as Ollama's usual one, {entry.ollama} "
            f"(`ollama show {text}` says what the tag has)"
        )
        return entry.ollama, why
    return None, ""


def _words(text: str) -> tuple[str, ...]:
    """A name in words: separators gone, `qwen3` apart, `30b` and `3.1` whole."""
    spaced = re.sub(r"[^a-z0-9.]+|(?<!\d)\.|\.(?!\d)", " ", text.lower())
    spaced = re.sub(r"(?<=[a-z]{2})(?=\d)|(?<=\d)(?=[a-z]{2})", " ", spaced)
    return tuple(spaced.split())


def _plain(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word for word in words if word not in _NOISE)


@cache
def _entries() -> dict[str, Entry]:
    return {entry.name: entry for entry in catalogue_entries()}


@cache
def _tags() -> dict[str, str]:
    """Ollama's names that are another model's by the rules."""
    return {
        tag.lower(): entry.name for entry in catalogue_entries() for tag in entry.also if ":" in tag
    }


@cache
def _index() -> dict[tuple[str, ...], str]:
    """Models by the words of their names, those of their pages and their other names."""
    found: dict[tuple[str, ...], str] = {}
    for entry in catalogue_entries():
        found[_plain(_words(entry.name))] = entry.name
    for entry in catalogue_entries():
        others = [entry.page.rpartition("/")[2], *(n for n in entry.also if ":" not in n)]
        for other in others:
            found.setdefault(_plain(_words(other)), entry.name)
    return found


@cache
def _reordered() -> dict[tuple[str, ...], str]:
    """Models by their words in any order, where no two have the same ones."""
    found: dict[tuple[str, ...], set[str]] = {}
    for words, model in _index().items():
        found.setdefault(tuple(sorted(words)), set()).add(model)
    return {words: models.pop() for words, models in found.items() if len(models) == 1}


@cache
def _makers() -> tuple[tuple[str, ...], ...]:
    """Owners of the catalogue's pages, in words: bartowski puts them before a name."""
    owners = {entry.page.rsplit("/", 2)[1] for entry in catalogue_entries()}
    return tuple(sorted((_words(owner) for owner in owners), key=len, reverse=True))


def _find(text: str, *, is_whole_tag: bool) -> str | None:
    """The model; what Ollama's tag points to goes first where no quantization follows it."""
    if text.lower() in catalogue_names():
        return text.lower()
    words, tag = _words(text), _tags().get(text.lower())
    if tag and (is_whole_tag or _plain(words) not in _index()):
        return tag
    for candidate in (words, *(words[len(m) :] for m in _makers() if words[: len(m)] == m)):
        plain = _plain(candidate)
        if plain in _index():
            return _index()[plain]
        if (alike := _reordered().get(tuple(sorted(plain)))) and plain:
            return alike
        longer = {model for key, model in _index().items() if key[: len(plain)] == plain}
        if len(longer) == 1 and any(_SIZE.fullmatch(word) for word in plain):
            return longer.pop()
    return None


def _nearest(text: str) -> tuple[str, ...]:
    """Models whose words all stand in the text, else those that begin so, else those that are
    spelt alike."""
    plain = _plain(_words(text))
    within = [m for key, m in _index().items() if len(key) > 1 and set(key) <= set(plain)]
    longer = [m for key, m in _index().items() if plain and key[: len(plain)] == plain]
    joined = {" ".join(key): model for key, model in _index().items()}
    alike = difflib.get_close_matches(" ".join(plain), joined, n=8, cutoff=0.65)
    found = sorted(within, key=len, reverse=True) or longer or [joined[key] for key in alike]
    return tuple(dict.fromkeys(found))[:MOST_NEAR]
