"""Texts in English and Russian: templates and words of each language, and its numbers.

Everything of a language is in its folder under `texts`: sentences as templates, the words of tables
in `words.toml`. `oomph.units` makes text of numbers; here that text is respelled, so that both
languages show the same figures. docs/languages.md says what is translated and holds the terms.
"""

import re
import textwrap
import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from oomph.errors import ConfigError
from oomph.foreign_text import visible
from oomph.units import count, gib, mib, points, rate, share, size, wait

if TYPE_CHECKING:
    from jinja2 import Environment

LANGUAGES: Final = ("en", "ru")
WIDTH: Final = 100
NBSP: Final = "\u00a0"
"""Keeps a number and its unit on one line; between thousands it is how Russian writes them."""

_RUSSIAN_UNITS: Final = {
    "MiB": "МиБ",
    "GiB": "ГиБ",
    "KiB": "КиБ",
    "B": "Б",
    "min": "мин",
    "s": "с",
    "ms": "мс",
}


def chance(probability: float) -> str:
    """A probability no surer than it is: nothing is certain that rests on a normal distribution's
    far end."""
    return (
        "<1 %" if probability < 0.01 else ">99 %" if probability > 0.99 else share(probability, 0)
    )


_FILTERS: Final[Mapping[str, Callable[..., str]]] = {
    "count": count,
    "gib": lambda n_bytes, digits=1: gib(n_bytes, digits),
    "mib": mib,
    "rate": rate,
    "wait": wait,
    "share": lambda fraction, digits=0: share(fraction, digits),
    "size": size,
    "signed": points,
    "ratio": lambda value: f"{value:,.3f}",
    "factor": lambda factor: f"{factor:g}",
    "chance": chance,
}


def checked_language(code: str) -> str:
    """`code`, one of LANGUAGES; ConfigError for another."""
    if code not in LANGUAGES:
        raise ConfigError(
            f"--lang {code} is not spoken here; the languages are {' and '.join(LANGUAGES)}"
        )
    return code


def render_text(template: str, language: str, *, width: int | None = WIDTH, **values: Any) -> str:
    """The template `{language}/{template}.jinja` filled with `values`, wrapped at `width` columns
    (None: not at all).

    A paragraph ends at an empty line or where a bullet (`- `) begins; a line that begins with four
    spaces stays as it is.
    """
    text = _environment(language).get_template(f"{template}.jinja").render(**values)
    blocks = (_block(block, width or len(text)) for block in re.split(r"\n\s*\n", text.strip("\n")))
    wrapped = "\n\n".join(filter(None, blocks)) + "\n"
    return wrapped if language == "ru" else wrapped.replace(NBSP, " ")


def respell(text: str, language: str) -> str:
    """A number of `oomph.units` as `language` writes it: `92,160.5 MiB` is `92 160,5 МиБ` in
    Russian."""
    if language == "ru":
        text = text.replace(",", NBSP).replace(".", ",")
        text = re.sub(r"[A-Za-z]+", lambda word: _RUSSIAN_UNITS.get(word[0], word[0]), text)
    return text.replace(" ", NBSP)


def plural(n: int, *forms: str) -> str:
    """The form of a noun after `n`: two of them are English's, three are Russian's (1, 2, 5)."""
    if len(forms) == 2:
        return forms[n != 1]
    if n % 10 == 1 and n % 100 != 11:
        return forms[0]
    return forms[1] if 2 <= n % 10 <= 4 and not 12 <= n % 100 <= 14 else forms[2]


def words_of(language: str, room: str) -> Mapping[str, Any]:
    """The words of one room's tables and of its lines that are put together; its sentences are
    templates."""
    return _words(language)[room]


@cache
def _words(language: str) -> Mapping[str, Mapping[str, Any]]:
    path = Path(__file__).with_name("texts") / language / "words.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))


@cache
def _environment(language: str) -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from oomph.views.kept_templates import kept_templates

    environment = Environment(  # plain text: `_one_line` stands where a page escapes
        loader=PackageLoader("oomph.views", f"texts/{language}"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
        finalize=_one_line,
        bytecode_cache=kept_templates(),
    )
    environment.filters |= {"plural": plural, "card": _card}
    for name, to_text in _FILTERS.items():
        environment.filters[name] = _respelled(to_text, language)
    return environment


def _one_line(value: Any) -> Any:
    """What a template puts in is part of a line: a line break in it is foreign. What a template's
    own macro gives is no `str` only, but marked as done."""
    from markupsafe import Markup

    return value if hasattr(value, "__html__") else Markup(visible(str(value)))


def _card(name: str) -> str:
    """A card as people call it."""
    return name.removeprefix("NVIDIA ").removeprefix("GeForce ")


def _respelled(to_text: Callable[..., str], language: str) -> Callable[..., str]:
    return lambda *arguments, **named: respell(to_text(*arguments, **named), language)


def _block(block: str, width: int) -> str:
    """One block of lines: its paragraphs and bullets, each wrapped."""
    paragraphs: list[str] = []
    for line in block.splitlines():
        if (
            line.startswith("    ")
            or not paragraphs
            or line.startswith("- ")
            or paragraphs[-1].startswith("    ")
        ):
            paragraphs.append(line.rstrip())
        elif line.strip():
            paragraphs[-1] += " " + line.strip()
    return "\n".join(_wrapped(paragraph, width) for paragraph in paragraphs if paragraph.strip())


def _wrapped(paragraph: str, width: int) -> str:
    if paragraph.startswith("    "):
        return paragraph
    indent = "  " if paragraph.startswith("- ") else ""
    words = re.sub(r"(?<=\d) %", f"{NBSP}%", re.sub(r"[ \t]+", " ", paragraph))
    return textwrap.fill(
        words, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
