"""Models sized by a number: what a name says, and the nearest shape."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.catalog.models import models
from headway.catalog.sizes import Size, known_size, size_in_name, sized_model
from headway.domain.errors import UserError
from headway.work.parameters import count_parameters


@pytest.mark.parametrize(
    ("name", "billion", "active"),
    [
        ("acme/Helper-7B-chat", 7, None),
        ("OpenHermes-2.5-Mistral-7B", 7, None),
        ("x-1.5b", 1.5, None),
        ("Qwen-0_5B-x", 0.5, None),
        ("stories15M", None, None),
        ("stories-15M", 0.015, None),
        ("glm-9b-chat-1m", 9, None),
        ("Qwen3-30B-A3B-Instruct", 30, 3),
        ("Foo-8x7B-v0.1", 44.8, 14),
        ("gemma-3n-E2B-it", 2, None),
        ("btlm-3b-8k-base", 3, None),
        ("Mistral-Small-2506", None, None),
        ("llama-2", None, None),
    ],
)
def test_sizes_in_names(name: str, billion: float | None, active: float | None) -> None:
    found = size_in_name(name)
    assert (found is None) == (billion is None)
    if found is not None and billion is not None:
        assert found.parameters == pytest.approx(billion * 1e9)
        assert found.active == (None if active is None else pytest.approx(active * 1e9))


def test_well_known_names_without_a_size() -> None:
    assert known_size("mistralai/Magistral-Small-2506") == Size(parameters=24e9)
    assert known_size("deepseek-ai/DeepSeek-V2-Lite-Chat") == Size(parameters=15.7e9, active=2.4e9)
    assert known_size("acme/unheard-of") is None


@given(st.floats(7, 11.7))
def test_a_sized_model_has_about_its_parameters(power: float) -> None:
    found = sized_model("acme/x", Size(parameters=10**power))
    assert count_parameters(found).total == pytest.approx(10**power, rel=0.1)
    assert found.heads % found.kv_heads == 0
    assert "(assumed)" in found.source
    assert found.name == "acme/x"


def test_the_brand_goes_before_a_nearer_size() -> None:
    found = sized_model("acme/my-qwen2.5-7b", Size(parameters=7e9))
    assert "Qwen" in found.source


def test_a_sparse_size_takes_a_sparse_shape() -> None:
    found = sized_model("acme/x-26b-a4b", Size(parameters=26e9, active=4e9))
    assert found.experts
    assert count_parameters(found).total == pytest.approx(26e9, rel=0.06)


def test_a_size_of_the_catalog_is_its_shape() -> None:
    mistral = models()["mistralai/Mistral-7B-v0.1"]
    found = sized_model("acme/mistral-7b-tuned", Size(parameters=7.24e9))
    assert (found.layers, found.hidden, found.ffn) == (mistral.layers, mistral.hidden, mistral.ffn)


@pytest.mark.parametrize("parameters", [0.0, 1e3, 1e15])
def test_sizes_that_no_model_has_are_refused(parameters: float) -> None:
    with pytest.raises(UserError, match="between"):
        sized_model("x", Size(parameters=parameters))
