"""Measuring training steps on the machine at hand: which ones, with what model, how.

Owns everything that `gpu_truth.py` runs. Needs torch, uses transformers, peft, bitsandbytes and flash-attn where they
are installed, and nothing of headway, so that the folder can be copied to a bare machine.
"""
