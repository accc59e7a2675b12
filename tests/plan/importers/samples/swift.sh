#!/bin/bash
# Rewards for arithmetic, on one node of four GPUs.
gpus=4
export CUDA_VISIBLE_DEVICES=0,1,2,3
NPROC_PER_NODE=${gpus} \
swift rlhf \
    --rlhf_type grpo \
    --model Qwen/Qwen2.5-1.5B-Instruct \
    --train_type full \
    --dataset 'acme/sums#2000' \
    --torch_dtype bfloat16 \
    --use_vllm true \
    --vllm_mode colocate \
    --max_length 512 \
    --max_completion_length 1024 \
    --num_generations 8 \
    --num_train_epochs 2 \
    --per_device_train_batch_size 4 \
    --gradient_accumulation_steps $(expr 32 / $gpus) \
    --learning_rate 1e-6 \
    --deepspeed zero2 \
    --save_steps 50 \
    --beta 0.0 \
    --logging_steps 1
