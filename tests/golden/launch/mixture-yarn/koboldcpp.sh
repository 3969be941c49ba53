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
# Listens on 127.0.0.1, port 5001, for this machine alone. `--host 0.0.0.0` opens it to the
# network: whoever reaches it may use it and can read along, as it asks for no key and
# speaks no TLS, unless --password and --ssl are given.
# The memory is what llama-server would take; koboldcpp, a program of its own, was not measured.
# koboldcpp has no YaRN flag: it stretches RoPE's base by a rule of its own (--ropeconfig changes it).
set -euo pipefail
exec "${KOBOLDCPP:-koboldcpp}" \
    --usecuda \
    --model /models/model.gguf \
    --contextsize 90000 \
    --batchsize 512 \
    --quantkv f16 \
    --gpulayers 49 \
    --moeexperts 10 \
    --host 127.0.0.1 \
    --port 5001 \
    "$@"
