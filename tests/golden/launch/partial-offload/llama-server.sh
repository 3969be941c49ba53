#!/usr/bin/env bash
# qwen3-30b-a3b: n_ctx 32,768
# quality: nothing is rounded that the file has not rounded; an f16 cache fits once the experts of 18 layers stay in host memory
# Predicted memory of llama-server in MiB:
#   CUDA0: 23,876.32 = weights 20,050.11 + KV cache 3,072.00 + compute buffer 296.01 + overhead 458.20
#   CUDA_Host: 40.59 = compute buffer 40.01 + output buffer 0.58
#   CPU: 10,923.30 = weights 10,923.30
# Host memory: 483 MiB are held from the start (buffers 41 MiB, the program and CUDA 443 MiB); 10,923 MiB of weights are pages of the file, which the system may drop and read again. In use it grows to 19,599 MiB at most: saved prompts up to 8,192 MiB (--cache-ram). What RAM the machine has was not said (--ram).
# It fits NVIDIA GeForce RTX 4090: more than 99 % likely.
# Listens on 127.0.0.1, port 8080, for this machine alone. `--host 0.0.0.0` opens it to the
# network: whoever reaches it may use it and can read along, as it asks for no key and
# speaks no TLS, unless --api-key-file and --ssl-key-file are given.
# LLAMA_SERVER names another llama-server; further arguments are passed on.
set -euo pipefail
exec "${LLAMA_SERVER:-llama-server}" \
    --model /models/model.gguf \
    --alias qwen3-30b-a3b \
    --ctx-size 32768 \
    --parallel 1 \
    --batch-size 2048 \
    --ubatch-size 512 \
    --flash-attn on \
    --cache-type-k f16 \
    --cache-type-v f16 \
    --n-gpu-layers all \
    --cache-ram 8192 \
    --ctx-checkpoints 32 \
    --n-cpu-moe 17 \
    --override-tensor 'blk\.(17)\.ffn_(gate)_(ch|)exps=CPU' \
    --threads 16 \
    --fit off \
    --host 127.0.0.1 \
    --port 8080 \
    "$@"
