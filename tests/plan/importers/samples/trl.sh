#!/bin/bash
#SBATCH --nodes=2
#SBATCH --gpus-per-node=8
MODEL=HuggingFaceTB/SmolLM2-1.7B
ARGS="--bf16"

accelerate launch --config_file configs/fsdp_full_shard.yaml --num_processes 16 \
    scripts/train_sft.py \
    --model_name_or_path $MODEL \
    --dataset_name acme/chats --max_seq_length 2048 --packing \
    --per_device_train_batch_size 4 --gradient_accumulation_steps=2 \
    --max_steps 1200 --learning_rate 2e-5 --bf16 \
    --gradient_checkpointing \
    --use_peft --lora_r 32 --lora_alpha 64 --lora_target_modules q_proj v_proj \
    --optim adamw_torch_fused --save_strategy steps --save_steps 0.25 --eval_strategy no
