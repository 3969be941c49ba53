#!/usr/bin/env bash
# qwen3-30b-a3b: n_ctx 90,000, 10 active experts
# long-context: the context is kept; an f16 cache and n_ubatch 512 fit
# Predicted memory of llama-server in MiB:
#   CUDA0: 26,847.88 = weights 17,524.43 + KV cache 8,448.00 + compute buffer 189.01 + overhead 686.44
#   CUDA_Host: 96.59 = compute buffer 96.01 + output buffer 0.58
#   CPU: 166.92 = weights 166.92
# Host memory: 539 MiB are held from the start (buffers 97 MiB, the program and CUDA 443 MiB); 167 MiB of weights are pages of the file, which the system may drop and read again. In use it grows to 8,898 MiB at most: saved prompts up to 8,192 MiB (--cache-ram). What RAM the machine has was not said (--ram).
# It fits NVIDIA RTX PRO 6000 Blackwell Workstation Edition: more than 99 % likely.
# RoPE: yarn, 32,768 tokens × 2.75; without it llama-server caps each slot at the file's 40,960.
#   published for this family: https://huggingface.co/Qwen/Qwen3-30B-A3B#processing-long-texts; the factor holds for short texts too, at a little of their quality.
# Listens on 127.0.0.1, port 8080, for this machine alone. `--host 0.0.0.0` opens it to the
# network: whoever reaches it may use it and can read along, as it asks for no key and
# speaks no TLS, unless --api-key-file and --ssl-key-file are given.
# LLAMA_SERVER names another llama-server; further arguments are passed on.
set -euo pipefail
exec "${LLAMA_SERVER:-llama-server}" \
    --model /models/model.gguf \
    --alias qwen3-30b-a3b \
    --ctx-size 90000 \
    --parallel 1 \
    --batch-size 2048 \
    --ubatch-size 512 \
    --flash-attn on \
    --cache-type-k f16 \
    --cache-type-v f16 \
    --n-gpu-layers all \
    --cache-ram 8192 \
    --ctx-checkpoints 32 \
    --rope-scaling yarn \
    --rope-scale 2.75 \
    --yarn-orig-ctx 32768 \
    --override-kv qwen3moe.expert_used_count=int:10 \
    --fit off \
    --host 127.0.0.1 \
    --port 8080 \
    "$@"
