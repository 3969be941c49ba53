"""Whether two models share a vocabulary, as llama.cpp asks before one drafts for the other.

It compares the kinds of their vocabularies, the tokens that they put before and after a text, how
many tokens there are and the texts of all but the first (common_speculative_are_compatible of
common/speculative.cpp, llama_vocab::impl::load). What a spec does not tell is not compared: one of
the catalogue has a size alone.
"""

from pathlib import Path
from typing import Final

from oomph.architectures.spec import ModelSpec
from oomph.gguf.strings import read_strings
from oomph.units import count

MOST_UNLIKE: Final = 128
"""Tokens by which two vocabularies may differ in size (SPEC_VOCAB_MAX_SIZE_DIFFERENCE)."""
FIRST_COMPARED: Final = 5
"""The first token whose text is compared (SPEC_VOCAB_CHECK_START_TOKEN_ID)."""
_TOKENIZER: Final = "tokenizer.ggml"
_KINDS: Final = {
    "llama": "SPM", "bert": "WPM", "gpt2": "BPE", "hybriddna": "BPE", "whitespace": "BPE",
    "gemma4": "BPE", "t5": "UGM", "rwkv": "RWKV", "plamo2": "PLAMO2",
}  # fmt: skip
"""The kind of vocabulary of a tokenizer.ggml.model."""
_ADDS: Final = {"bos": ("SPM", "WPM"), "eos": ("UGM",)}
"""Kinds that put the token before or after a text where the file does not say."""
_BPE_WITH_BOS: Final = (
    "llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2",
    "jina-v5-nano", "tekken", "chameleon",
)  # fmt: skip
"""Pre-tokenizers whose vocabularies put a token before a text where the file does not say."""
_DEFAULTS: Final = {("SPM", "bos"): 1, ("SPM", "eos"): 2, ("WPM", "bos"): 101, ("UGM", "eos"): 1}
_BPE_DEFAULT: Final = 11
"""Number of the token that begins and ends a text where the file does not say."""


def unlike(target: ModelSpec, draft: ModelSpec) -> str | None:
    """In what the vocabularies differ, to be read after the draft's name; None where llama.cpp
    would draft. ModelFileError where a file cannot be read."""
    kinds = [_kind(each) for each in (draft, target)]
    if all(kinds) and kinds[0] != kinds[1]:
        return f"has a vocabulary of kind {kinds[0]} and {target.source} of kind {kinds[1]}"
    if all(kinds):
        for which, name in (("bos", "begins"), ("eos", "ends")):
            own, other = (_added(each, which) for each in (draft, target))
            if own != other:
                return f"{name} a text with {_token(own)} and {target.source} with {_token(other)}"
    if abs(target.n_vocab - draft.n_vocab) > MOST_UNLIKE:
        return f"has {count(draft.n_vocab)} tokens and {target.source} {count(target.n_vocab)}"
    return _other_text(target, draft)


def _kind(model: ModelSpec) -> str:
    named = model.metadata.get(f"{_TOKENIZER}.model")
    return _KINDS.get(named, named) if isinstance(named, str) else ""


def _added(model: ModelSpec, which: str) -> int | None:
    """The number of the token that is put before or after a text; None for none."""
    kind, pre = _kind(model), model.metadata.get(f"{_TOKENIZER}.pre")
    is_usual = kind in _ADDS[which] or (which == "bos" and pre in _BPE_WITH_BOS)
    is_forced = which == "bos" and "gemma4" in (pre, model.metadata.get(f"{_TOKENIZER}.model"))
    if not is_forced and not model.metadata.get(f"{_TOKENIZER}.add_{which}_token", is_usual):
        return None
    named = model.metadata.get(f"{_TOKENIZER}.{which}_token_id")
    return named if isinstance(named, int) else _DEFAULTS.get((kind, which), _BPE_DEFAULT)


def _token(number: int | None) -> str:
    return "no token" if number is None else f"token {count(number)}"


def _other_text(target: ModelSpec, draft: ModelSpec) -> str | None:
    """The first token whose text differs, where both are files that are here."""
    paths = [Path(each.source) for each in (draft, target)]
    if not all(path.is_file() for path in paths):
        return None
    own, other = (read_strings(path, f"{_TOKENIZER}.tokens") for path in paths)
    if own[FIRST_COMPARED:] == other[FIRST_COMPARED:]:
        return None
    for i, (a, b) in enumerate(zip(own, other, strict=False)):
        if i >= FIRST_COMPARED and a != b:
            texts = (each.decode("utf-8", "replace")[:40] for each in (a, b))
            return f"calls token {count(i)} {next(texts)!r} and {target.source} {next(texts)!r}"
    return None
