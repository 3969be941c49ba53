"""Coefficients: every one defined, shipped within its bounds, and the same after a trip through a
file."""

import json
import math

import pytest

from oomph.errors import OomphError
from oomph.estimate.coefficients import (
    GENERATIONS,
    KINDS,
    OWN,
    Coefficients,
    default_coefficients,
    definitions,
    prior_values,
    read_coefficients,
)


def test_every_defined_coefficient_ships_with_a_value_within_its_bounds() -> None:
    shipped = default_coefficients()
    assert set(shipped.values) == set(definitions())
    for name, definition in definitions().items():
        assert definition.lower <= shipped[name] <= definition.upper, name
        assert definition.lower <= definition.prior <= definition.upper, name


def test_coefficients_by_kind_and_generation_are_spelled_out() -> None:
    names = set(definitions())
    assert {f"matvec.clocks_factor.{kind}" for kind in KINDS} <= names
    assert {f"prefill.int8_factor.{generation}" for generation in GENERATIONS} <= names
    assert all(definitions()[name].own for name in OWN)


def test_a_measured_card_has_effects_of_its_own_and_another_has_none() -> None:
    shipped = default_coefficients()
    card, own = next(iter(shipped.cards.items()))
    assert shipped.for_card(card)["card.bandwidth_factor"] == own["card.bandwidth_factor"]
    assert shipped.for_card("a card that nobody measured")["card.bandwidth_factor"] == 1.0


def test_the_shipped_values_say_where_they_come_from_and_hold_no_row() -> None:
    shipped = default_coefficients()
    assert shipped.provenance["kept"] > 100
    assert (
        sum(shipped.provenance["left_out"].values()) + shipped.provenance["kept"]
        == shipped.provenance["rows"]
    )
    assert "tokens_per_s" not in shipped.to_json()


def test_json_and_back_is_the_same(tmp_path) -> None:  # type: ignore[no-untyped-def]
    before = Coefficients(
        values=prior_values(),
        cards={"a card": {"card.compute_factor": 0.9}},
        interval_widths={"decode dense": {"card": 0.1}},
        covered={"n_depth": (0.0, 4096.0)},
        calibrated_on={"machines": ["here"]},
    )
    path = tmp_path / "calibration.json"
    path.write_text(before.to_json(), encoding="utf-8")
    after = read_coefficients(path)
    assert after.values == before.values
    assert after.cards == before.cards
    assert tuple(after.covered["n_depth"]) == (0.0, 4096.0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{}", "format"),
        ("no json", "no coefficients"),
        ('{"format": 99}', "format 99"),
        ("[1]", "no coefficients"),
    ],
)
def test_a_file_that_is_no_calibration_is_refused_in_one_sentence(
    tmp_path, text: str, says: str
) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "x.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(OomphError, match=says) as caught:
        read_coefficients(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(OomphError, match="cannot be read"):
        read_coefficients(tmp_path / "absent.json")


def test_standard_errors_are_finite_and_of_known_names() -> None:
    shipped = default_coefficients()
    assert shipped.standard_errors
    assert set(shipped.standard_errors) <= set(definitions())
    assert all(math.isfinite(error) and error >= 0 for error in shipped.standard_errors.values())


def test_shipped_json_is_the_layout_that_is_written() -> None:
    assert json.loads(default_coefficients().to_json())["format"] == 2
