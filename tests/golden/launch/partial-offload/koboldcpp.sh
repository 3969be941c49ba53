#!/usr/bin/env bash
# qwen3-30b-a3b: n_ctx 32,768
# quality: nothing is rounded that the file has not rounded; an f16 cache fits once the experts of 18 layers stay in host memory
# Predicted memory of llama-server in MiB:
#   CUDA0: 23,876.32 = weights 20,050.11 + KV cache 3,072.00 + compute buffer 296.01 + overhead 458.20
#   CUDA_Host: 40.59 = compute buffer 40.01 + output buffer 0.58
#   CPU: 10,923.30 = weights 10,923.30
# Host memory: 483 MiB are held from the start (buffers 41 MiB, the program and CUDA 443 MiB); 10,923 MiB of weights are pages of the file, which the system may drop and read again. In use it grows to 19,599 MiB at most: saved prompts up to 8,192 MiB (--cache-ram). What RAM the machine has was not said (--ram).
# It fits NVIDIA GeForce RTX 4090: more than 99 % likely.
# Listens on 127.0.0.1, port 5001, for this machine alone. `--host 0.0.0.0` opens it to the
# network: whoever reaches it may use it and can read along, as it asks for no key and
# speaks no TLS, unless --password and --ssl are given.
# The memory is what llama-server would take; koboldcpp, a program of its own, was not measured.
set -euo pipefail
exec "${KOBOLDCPP:-koboldcpp}" \
    --usecuda \
    --model /models/model.gguf \
    --contextsize 32768 \
    --batchsize 512 \
    --quantkv f16 \
    --gpulayers 49 \
    --moecpu 17 \
    --overridetensors 'blk\.(17)\.ffn_(gate)_(ch|)exps=CPU' \
    --threads 16 \
    --host 127.0.0.1 \
    --port 5001 \
    "$@"
