"""One byte form for one value."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.domain.record import canonical_json, fingerprint, plain

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), PLAIN, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_keys_changes_nothing(value: dict[str, object], random: object) -> None:
    keys = list(value)
    random.shuffle(keys)  # type: ignore[attr-defined]
    assert canonical_json({key: value[key] for key in keys}) == canonical_json(value)
    assert fingerprint({key: value[key] for key in keys}) == fingerprint(value)


@given(PLAIN)
def test_it_comes_back(value: object) -> None:
    assert json.loads(canonical_json(value)) == plain(value)
    assert canonical_json(json.loads(canonical_json(value))) == canonical_json(value)


@given(st.integers(-(2**52), 2**52))
def test_whole_floats_are_integers(number: int) -> None:
    assert canonical_json(float(number)) == canonical_json(number)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, {"a": [math.nan]}])
def test_what_is_not_finite_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="finite"):
        canonical_json(value)


@pytest.mark.parametrize("value", [object(), {1, 2}, b"x", {"a": object}])
def test_what_has_no_stable_form_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="no stable form"):
        fingerprint(value)


def test_dataclasses_are_their_fields() -> None:
    @dataclass(frozen=True)
    class Noun:
        a: int
        b: tuple[float, ...]

    assert canonical_json(Noun(1, (2.0, 2.5))) == '{"a":1,"b":[2,2.5]}'


def test_the_form_is_fixed() -> None:
    """By hand: SHA-256 of the text below; stored records are found by it."""
    assert canonical_json({"b": [1, 2.5, True, None], "a": "é"}) == '{"a":"é","b":[1,2.5,true,null]}'
    assert fingerprint({}) == "44136fa355b3678a"
