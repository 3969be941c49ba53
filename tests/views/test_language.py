"""Two languages, the same figures: spelling of numbers, forms of nouns, wrapping."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
