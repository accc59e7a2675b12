"""What other tools' words are in the plan language: optimizers, number formats, adapter targets, attention.

Owns the translations only. An unknown word never stops an import: the nearest is taken and said.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from headway.domain.errors import UserError
from headway.domain.optimizer import optimizer_name
from headway.plan.importing.fields.taking import Hit, Taking

_STATES: Final = (
    (r"lion.*8|8.*lion", "lion_8bit"), (r"lion", "lion"), (r"adafactor|came", "adafactor"), (r"muon|dion", "muon"),
    (r"adalomo|\blomo|sgd.*moment", "momentum"), (r"sgd|rmsprop|signsgd", "sgd"),
    (r"(?:adam|ademamix|apollo|galore).*(?:8|4|fp8|low)|(?:8|4)-?bit", "adamw_8bit"),
)  # fmt: skip
"""Pattern of an optimizer's name -> the known one that keeps about as much for a parameter; adamw for all others."""
_FORMATS: Final = {
    "bf16": "bf16", "bfloat16": "bf16", "torch.bfloat16": "bf16", "bf16-true": "bf16", "bf16-mixed": "bf16",
    "fp16": "fp16", "float16": "fp16", "torch.float16": "fp16", "half": "fp16", "16": "fp16", "16-true": "fp16",
    "16-mixed": "fp16", "fp32": "fp32", "float32": "fp32", "float": "fp32", "torch.float32": "fp32", "32": "fp32",
    "32-true": "fp32", "64-true": "fp32", "64": "fp32", "no": "fp32", "fp8": "fp8", "transformer-engine": "fp8",
    "transformer-engine-float16": "fp8", "tf32": "fp32",
}  # fmt: skip
_TARGETS: Final = {
    "all": "all-linear", "all-linear": "all-linear", "all_linear": "all-linear", "all-linear-layers": "all-linear",
    "output_proj": "o_proj", "attn": "attention", "self_attn": "attention",
}  # fmt: skip
"""Words of other tools -> the plan's; module names that headway knows stay as they are."""
_KNOWN_TARGET: Final = frozenset(
    "q k v o gate up down head q_proj k_proj v_proj o_proj out_proj query key value gate_proj up_proj down_proj w1 w2 "
    "w3 wi wi_0 wi_1 wo fc1 fc2 fc_in fc_out c_fc c_proj dense_h_to_4h dense_4h_to_h dense lm_head c_attn "
    "query_key_value qkv_proj in_proj Wqkv gate_up_proj attention mlp all-linear".split()
)
_OWN_TARGETS: Final = (
    (r"gpt-?neox|pythia|dolly|falcon(?!-?(?:3|h1|mamba))|bloom|chatglm|stablelm-(?:base|tuned)", "query_key_value"),
    (r"gpt-?2|starcoder(?!2)|santacoder", "c_attn"), (r"phi-?[34]", "qkv_proj"),
    (r"phi-?(?:1|2)(?!\d)", "q_proj, v_proj, fc1, fc2"), (r"\bmpt\b|dbrx", "Wqkv"),
    (r"(?<![a-z])bert|roberta|electra", "query, value"), (r"(?<![a-z])(?:m|flan-?|code)?t5", "q, v"),
    (r"llama|mistral|mixtral|qwen-?(?:[23]|1\.5)|qwq|gemma|(?<![a-z])opt(?![a-z])|gpt-?j|gpt-?neo(?!x)|bart|stablelm|"
     r"smollm|vicuna|zephyr|falcon-?3", "q_proj, v_proj"),
)  # fmt: skip
"""Pattern of a model's name -> the modules that PEFT adapts in its family where no targets are said, the more telling
ones first (PEFT 0.17, src/peft/utils/constants.py, TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING)."""
_IN_PATTERN = re.compile(r"(?<![a-z])(q|k|v|o|gate|up|down)(?=_proj|[|)])|(?<=_)(gate|up|down)(?=_proj)")


def optimizer(taking: Taking, hit: Hit | None) -> None:
    """Takes the optimizer; one whose states headway does not know is counted as its nearest, and said so."""
    if hit is None:
        return
    name = hit.value.rpartition(".")[2].strip()
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().replace("-", "_").replace("adam_w", "adamw")
    plain = re.sub(r"^(?:paged|fused|cpu|deep_?speed_?cpu)_?", "", plain)
    try:
        optimizer_name(plain)
        known = plain
    except UserError:
        known = next((word for pattern, word in _STATES if re.search(pattern, plain)), "adamw")
        taking.note(f"the optimizer {name} is counted as {known}")
    taking.take("optimizer", hit, known, shown=name)


def precision(hit: Hit | None) -> str:
    """The plan's number format for a tool's word; empty where it names none (`auto`)."""
    return _FORMATS.get(hit.value.lower(), "") if hit is not None else ""


def take_precision(taking: Taking, *keys: str) -> None:
    """The first of these keys that names a number format."""
    for key in keys:
        if taking.has(key) and (word := precision(taking.word(key))):
            taking.take("precision", taking.word(key), word)
            return


def targets(hits: Iterable[Hit]) -> str:
    """Adapter targets in the plan's words, with commas; patterns give the modules that they name. Empty: unknown."""
    found: dict[str, None] = {}
    for hit in hits:
        plain = hit.value.strip("'\"[]")
        word = _TARGETS.get(plain.lower(), plain)
        word = word if word in _KNOWN_TARGET else word.rpartition(".")[2]
        if word in _KNOWN_TARGET:
            found[word] = None
        else:
            found |= {f"{a or b}_proj": None for a, b in _IN_PATTERN.findall(hit.value)}
    return "all-linear" if "all-linear" in found else ", ".join(found)


def take_targets(taking: Taking, *keys: str) -> None:
    """What the adapter is put on; names that headway does not know become all linear layers, and are said."""
    for key in keys:
        if not taking.has(key):
            continue
        hits = taking.words(key)
        if not hits:
            continue
        whole = taking.word(key)
        pattern = whole if whole is not None and re.search(r"[|()\\*]", whole.value) else None
        word = targets([pattern] if pattern else hits)
        if not word:
            taking.note(f"adapter targets {', '.join(hit.value for hit in hits[:6])} are counted as all linear layers")
        taking.take("targets", hits[0], word or "all-linear")
        return


def mixed(taking: Taking, key: str) -> None:
    """Lightning's and Fabric's `bf16-mixed` and `16-mixed`, `bf16` and `16` for short: autocast over fp32 weights.

    Source: Lightning 2.5, src/lightning/fabric/connector.py, `_convert_precision_to_unified_args`.
    """
    hit = taking.word(key)
    if hit is not None and (hit.value.lower() in ("16", "bf16") or hit.value.lower().endswith("-mixed")):
        wide_weights(taking, hit)


def wide_weights(taking: Taking, hit: Hit | None, source: str = "") -> None:
    """Weights, gradients and Adam in fp32 under 16-bit arithmetic (autocast), where all weights are trained.

    `hit` says so; None: the tool does so by default, as `source` documents.
    """
    if taking.value("method") not in ("", "full") or taking.value("precision") not in ("bf16", "fp16"):
        return
    if hit is None:
        taking.default("master_weights", "true", source)
    else:
        taking.take("master_weights", hit, "true")


def own_targets(model: str) -> str:
    """What PEFT adapts in a model of this name where no targets are said; empty where its family is not known."""
    name = model.lower().replace("_", "-")
    return next((targets for pattern, targets in _OWN_TARGETS if re.search(pattern, name)), "")


def attention(taking: Taking, *keys: str) -> None:
    """Which attention code runs: `flash_attention_2`, `fa2`, `sdpa`, `eager` and flags that turn one on."""
    for key in keys:
        hit = taking.word(key)
        if hit is None:
            continue
        word = hit.value.lower()
        kind = "flash" if re.search(r"flash|fa2|fa3|fa4|flex|xformers|unsloth", word) else word
        kind = {"auto": "sdpa", "disabled": "eager", "torch": "sdpa", "off": "eager"}.get(kind, kind)
        if kind in ("flash", "sdpa", "eager"):
            taking.take("attention", hit, kind)
            return


def bits(word: str) -> str:
    """The plan's `quantize` for bits or a scheme: 4 -> nf4, 8 -> int8, fp8; empty where nothing is quantized."""
    plain = word.lower()
    if re.search(r"fp8|float8", plain):
        return "fp8"
    if re.search(r"4|nf|int2|\b[23]\b|awq|gptq|mxfp|aqlm|hqq", plain):
        return "nf4"
    return "int8" if "8" in plain else ""
