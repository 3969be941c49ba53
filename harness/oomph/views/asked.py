"""What was asked, in one line: the program, its build, what memory hangs on, what was yours."""

import textwrap
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from oomph.config import RunConfig
from oomph.foreign_text import visible
from oomph.programs.defaults import PROGRAMS
from oomph.programs.fit_flags import FITTING
from oomph.programs.said import Said
from oomph.units import count
from oomph.views.language import WIDTH, respell, words_of


def asked_sentence(
    said: Said, config: RunConfig, language: str = "en", *, besides: Collection[str] = ()
) -> str:
    """`config`, which came of what was said, without the knobs that are shown elsewhere
    (`besides`)."""
    words, facts = _words(language), PROGRAMS[said.program]
    parts = ", ".join(_parts(said, config, language, besides))
    return words["begin"].format(title=facts.title, build=facts.build, parts=parts)


def asked_paragraph(
    said: Said, config: RunConfig, language: str = "en", *, besides: Collection[str] = ()
) -> str:
    """The sentence in lines of a terminal, and what was said that is in no knob."""
    asked = textwrap.fill(asked_sentence(said, config, language, besides=besides), WIDTH)
    remarks = (textwrap.fill(each, WIDTH, break_on_hyphens=False) for each in said.remarks)
    return "\n".join((asked, *remarks))


def asked_json(said: Said, config: RunConfig) -> dict[str, Any]:
    """The program and its build, the knobs that were given, the sentence, and what was said that is
    in no knob."""
    return {
        "program": said.program,
        "build": PROGRAMS[said.program].build,
        "said": sorted(said.knobs),
        "sentence": asked_sentence(said, config),
        "remarks": list(said.remarks),
    }


def _parts(said: Said, config: RunConfig, language: str, besides: Collection[str]) -> Iterator[str]:
    words, shown = _words(language), set(besides)
    for names, text in _phrases(config, language):
        if not shown.intersection(names):
            # --fit counts the layers that were not, however many cards were said
            told = names[:1] if said.fit and names[0] == "n_gpu_layers" else names
            kind = "yours" if any(name in said.knobs for name in told) else "own"
            if names[0] == "n_gpu_layers" and kind == "own" and _leaves_fit_out(said, config):
                kind = "unfitted"
            if names == ("n_ctx",) and said.n_ctx not in (None, config.n_ctx):
                kind = "made"
            yield words[kind].format(text=text, said=_number(said.n_ctx or 0, language))
        shown.update(names)
    for name, value in config.unlike(said.program).items():
        if name in said.knobs and name not in shown:
            yield words["yours"].format(text=f"{name} {_spelled(value)}")
    for kind, file in said.files.items():
        yield words["yours"].format(text=f"{kind} {visible(file)}")


def _spelled(value: Any) -> str:
    """A knob's value as it is said."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return ",".join(f"{x:g}" for x in value) if isinstance(value, tuple) else str(value)


def _leaves_fit_out(said: Said, config: RunConfig) -> bool:
    """Whether the program would place the layers itself, and is answered as if it did not."""
    return said.program in FITTING and said.fit is None and config.n_devices > 0


def _phrases(config: RunConfig, language: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """What memory hangs on in plain words, each with the knobs that it is about."""
    words = _words(language)
    yield ("n_ctx",), f"n_ctx {_number(config.n_ctx, language)}"
    yield ("n_seq_max", "kv_unified"), _slots(config, language)
    yield ("type_k", "type_v"), f"KV {'/'.join(dict.fromkeys((config.type_k, config.type_v)))}"
    yield ("swa_full",), f"swa_full {'on' if config.swa_full else 'off'}"
    sizes = (_number(size, language) for size in (config.n_batch, config.n_ubatch))
    yield ("n_batch", "n_ubatch"), words["batches"].format(sizes="/".join(sizes))
    yield ("flash_attn",), f"flash attention {config.flash_attn}"
    yield ("n_gpu_layers", "n_devices"), _layers(config, language)


def _slots(config: RunConfig, language: str) -> str:
    if config.n_seq_max == 1:
        return _words(language)["one"]
    kind = "shared" if config.kv_unified else "apart"
    each = _number(config.n_ctx_seq, language)
    return _words(language)[kind].format(n=_number(config.n_seq_max, language), each=each)


def _layers(config: RunConfig, language: str) -> str:
    if config.n_devices == 0:
        return _words(language)["cardless"]
    kind = "all" if config.n_gpu_layers < 0 else "some"
    kind += " of several" if config.n_devices > 1 and config.split_mode != "none" else ""
    n = _number(config.n_gpu_layers, language)
    return _words(language)[kind].format(n=n, cards=config.n_devices)


def _words(language: str) -> Mapping[str, str]:
    return words_of(language, "asked")


def _number(n: int, language: str) -> str:
    return respell(count(n), language)
