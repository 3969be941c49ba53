"""Two languages, the same figures: spelling of numbers, forms of nouns, wrapping."""

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import oomph.views.language as language_module
from oomph.errors import ConfigError
from oomph.views.language import NBSP, WIDTH, chance, checked_language, plural, render_text, respell


@pytest.mark.parametrize(
    ("english", "russian"),
    [
        ("92,160 MiB", "92 160 МиБ"),
        ("1.50 GiB", "1,50 ГиБ"),
        ("3 min 05 s", "3 мин 05 с"),
        ("-2,648", "-2 648"),
        ("90 %", "90 %"),
        ("—", "—"),
    ],
)
def test_numbers_are_respelled(english: str, russian: str) -> None:
    assert respell(english, "ru").replace(NBSP, " ") == russian
    assert respell(english, "en").replace(NBSP, " ") == english


@given(st.integers(0, 10**12), st.integers(0, 99))
def test_respelling_keeps_the_digits(whole: int, hundredths: int) -> None:
    english = f"{whole:,}.{hundredths:02d} MiB"
    assert re.sub(r"\D", "", respell(english, "ru")) == re.sub(r"\D", "", english)


@pytest.mark.parametrize(
    ("n", "form"),
    [
        (1, "токен"),
        (2, "токена"),
        (4, "токена"),
        (5, "токенов"),
        (11, "токенов"),
        (14, "токенов"),
        (21, "токен"),
        (22, "токена"),
        (111, "токенов"),
        (131_072, "токена"),
        (90_000, "токенов"),
        (0, "токенов"),
    ],
)
def test_russian_has_three_forms_after_a_number(n: int, form: str) -> None:
    assert plural(n, "токен", "токена", "токенов") == form


def test_english_has_two() -> None:
    assert [plural(n, "expert", "experts") for n in (0, 1, 2)] == ["experts", "expert", "experts"]


@pytest.mark.parametrize(
    ("probability", "text"), [(0.0, "<1 %"), (0.71, "71 %"), (0.995, ">99 %"), (1.0, ">99 %")]
)
def test_a_probability_is_never_certain(probability: float, text: str) -> None:
    assert chance(probability) == text


@pytest.mark.parametrize("language", ["en", "ru"])
def test_paragraphs_and_bullets_are_wrapped_and_commands_are_not(language: str) -> None:
    text = render_text("explain/topics", language)
    lines = text.splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert sum(line.startswith("- ") for line in lines) == 7
    assert (NBSP in text) <= (language == "ru")


def test_another_language_is_refused_in_one_sentence() -> None:
    with pytest.raises(ConfigError, match="en and ru"):
        checked_language("de")


def _texts(language: str) -> dict[str, str]:
    """The templates and words of a language, by their paths."""
    folder = Path(language_module.__file__).parent / "texts" / language
    return {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_each_language_has_every_template_and_every_word() -> None:
    english, russian = _texts("en"), _texts("ru")
    assert english.keys() == russian.keys()

    def keys(table: object, name: str = "") -> set[str]:
        if isinstance(table, dict):
            return {found for key, each in table.items() for found in keys(each, f"{name}.{key}")}
        many = f"[{len(table)}]" if isinstance(table, list) else ""
        return {name + many}

    words = [keys(tomllib.loads(texts["words.toml"])) for texts in (english, russian)]
    assert words[0] == words[1]


def test_a_word_takes_the_same_values_in_each_language() -> None:
    for english, russian in zip(
        *(_texts(code)["words.toml"].splitlines() for code in ("en", "ru")), strict=True
    ):
        values = [set(re.findall(r"\{(\w*)\}", line)) for line in (english, russian)]
        assert values[0] == values[1], russian


def test_russian_keeps_to_the_glossary(repository: Path) -> None:
    page = (repository / "docs" / "languages.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", page, re.MULTILINE)[1:]
    refused = [word for row in rows for word in row[2].split(", ") if row[0] != "---"]
    assert len(refused) > 20
    text = "\n".join(_texts("ru").values()).lower()
    assert [word for word in refused if re.search(rf"\b{word}", text)] == []
    used = [row[1] for row in rows if row[0] != "---"]
    stems = [term.split()[-1][: max(4, len(term.split()[-1]) - 3)] for term in used]
    assert [stem for stem in stems if stem.lower() not in text] == []
