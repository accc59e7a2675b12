"""Configurations made of the catalog's rows read back as the same architecture."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from headway.catalog import from_config
from headway.catalog.models import models
from headway.catalog.standins import config_of
from headway.domain.errors import UserError
from headway.domain.experiment import Architecture

ABOUT = {"name", "source", "date", "parameters_stated"}


def shape(arch: Architecture) -> dict[str, object]:
    return {item.name: getattr(arch, item.name) for item in fields(arch) if item.name not in ABOUT}


def known() -> dict[str, Architecture]:
    found = {}
    for name, arch in models().items():
        try:
            config_of(arch)
        except UserError:
            continue
        found[name] = arch
    return found


def test_every_configuration_reads_back_the_same() -> None:
    for name, arch in known().items():
        assert shape(from_config(config_of(arch), name)) == shape(arch), name


def test_most_decoders_of_the_catalog_can_be_made() -> None:
    decoders = [name for name, arch in models().items() if arch.family == "decoder"]
    assert sum(name in known() for name in decoders) > 0.65 * len(decoders)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Qwen/Qwen2-0.5B", "qwen2"),
        ("meta-llama/Llama-3.2-1B", "llama"),
        ("Qwen/Qwen3-8B", "qwen3"),
        ("mistralai/Mixtral-8x7B-v0.1", "mixtral"),
        ("openai-community/gpt2", "gpt2"),
        ("google-bert/bert-base-uncased", "bert"),
        ("EleutherAI/pythia-410m", "gpt_neox"),
        ("google/gemma-2b", "gemma"),
        ("allenai/OLMo-2-0425-1B", "olmo2"),
        ("microsoft/phi-2", "phi"),
        ("facebook/opt-1.3b", "opt"),
        ("bigcode/starcoder2-3b", "starcoder2"),
        ("answerdotai/ModernBERT-base", "modernbert"),
        ("google-t5/t5-base", "t5"),
    ],
)
def test_the_family_is_the_models_own(name: str, kind: str) -> None:
    assert config_of(models()[name])["model_type"] == kind


@pytest.mark.parametrize("name", ["google/t5-v1_1-base", "tiiuae/falcon-rw-1b"])
def test_what_the_library_would_make_otherwise_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=r"config\.json"):
        config_of(models()[name])


def test_what_no_family_expresses_is_refused() -> None:
    odd = replace(models()["Qwen/Qwen2-0.5B"], norms_per_layer=3)
    with pytest.raises(UserError, match=r"config\.json"):
        config_of(odd)
