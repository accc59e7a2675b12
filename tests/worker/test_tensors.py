"""The counter, by hand: a few operators on tensors whose bytes and FLOP one can add up."""

from __future__ import annotations

import importlib.util
import sys
from types import SimpleNamespace

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import flop_registry

from headway.worker.tracing import tensors
from headway.worker.tracing.tensors import Counter

META = torch.device("meta")


def test_bytes_live_from_their_operator_to_their_last_holder() -> None:
    with Counter() as counter:
        first = torch.empty(1000, device=META)
        second = first + 1
        assert counter.live_bytes["forward"] == 8000
        del first
        assert counter.live_bytes["forward"] == 4000
        third = torch.cat((second, second))
        del second
        assert counter.live_bytes["forward"] == 8000
        del third
    assert counter.live_bytes["forward"] == 0
    assert counter.peak_bytes["forward"] == 4000 + 8000


def test_views_hold_one_storage_together() -> None:
    with Counter() as counter:
        whole = torch.empty((10, 100), device=META)
        part = whole[0].view(4, 25)
        assert counter.live_bytes["forward"] == 4000
        del whole
        assert counter.live_bytes["forward"] == 4000  # the view keeps all of it
        del part
    assert counter.live_bytes["forward"] == 0


def test_peaks_are_kept_by_phase_with_what_they_are_made_of() -> None:
    weight = torch.empty(100, device=META)
    with Counter() as counter:
        counter.hold(weight, "weights")
        counter.forget_peaks()
        made = weight * 2
        counter.phase = "backward"
        with torch.no_grad():  # as autograd runs it
            gone = made * 3 * 4
        del gone
    assert counter.peak_bytes == {"forward": 800, "backward": 1600}
    assert counter.peak_terms["backward"] == {"weights": 400, "forward": 400, "backward": 800}


def test_a_gradient_changes_its_name() -> None:
    weight = torch.empty(100, device=META, requires_grad=True)
    weight.register_post_accumulate_grad_hook(lambda one: counter.rename(one.grad, "gradients"))
    with Counter() as counter:
        total = (weight * 2).sum()
        counter.phase = "backward"
        with torch.no_grad():
            start = torch.ones_like(total)
        torch.autograd.backward(total, start)
    assert counter.live_bytes["gradients"] == 400


def test_products_are_counted_by_phase_and_kind() -> None:
    left = torch.empty((4, 8), device=META, requires_grad=True)
    right = torch.empty((8, 16), device=META)
    scores = torch.empty((3, 4, 8), device=META)
    with Counter() as counter:
        result = (left @ right).sum()
        _ = scores @ scores.transpose(1, 2)
        counter.phase = "backward"
        torch.autograd.backward(result)
    assert counter.flop == {"forward": 2 * 4 * 8 * 16 + 2 * 3 * 4 * 8 * 4, "backward": 2 * 4 * 8 * 16, "recompute": 0}
    assert counter.flop_by_kind == {"linear": 2 * 2 * 4 * 8 * 16, "attention": 2 * 3 * 4 * 8 * 4}


def test_what_autograd_keeps_is_what_stays_after_the_forward_pass() -> None:
    weight = torch.empty((64, 64), device=META, requires_grad=True)
    with Counter() as counter:
        counter.hold(weight, "weights")
        rows = torch.empty((10, 64), device=META)
        with saved_tensors_hooks(lambda tensor: counter.keep(tensor, "here"), lambda tensor: tensor):
            result = (torch.nn.functional.silu(rows @ weight) * 2).sum()
        del rows
    # the input of the product and the input of silu; 2 is no tensor
    assert counter.kept_bytes("forward", "here") == 2 * 10 * 64 * 4
    assert counter.live_bytes["forward"] == 2 * 10 * 64 * 4 + 4  # and the sum itself
    assert result.requires_grad


def test_a_recomputed_forward_is_told_from_the_backward_pass_and_let_go() -> None:
    weights = [torch.empty((64, 64), device=META, requires_grad=True) for _ in range(6)]

    def block(rows: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.silu(torch.nn.functional.silu(rows @ weight)) @ weight

    with Counter() as counter:
        rows = torch.empty((10, 64), device=META)
        for weight in weights:
            rows = checkpoint(block, rows, weight, use_reentrant=False)
        total = rows.sum()
        counter.phase = "backward"
        torch.autograd.backward(total)
    product = 2 * 10 * 64 * 64
    assert counter.flop["forward"] == 6 * 2 * product
    assert counter.flop["recompute"] == 6 * product  # the last product's result is needed by nothing
    one_block = 3 * 10 * 64 * 4
    assert counter.peak_terms["backward"].get("recompute", 0) <= one_block


def test_an_older_torch_that_has_no_product_of_experts_counts_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    described = importlib.util.spec_from_file_location("tensors_of_older_torch", tensors.__file__)
    assert described is not None and described.loader is not None
    found = importlib.util.module_from_spec(described)
    monkeypatch.setitem(sys.modules, described.name, found)  # where dataclasses look for its names
    monkeypatch.setattr(torch.ops, "aten", SimpleNamespace())
    described.loader.exec_module(found)
    assert flop_registry == found._FORMULAS
