#!/usr/bin/env bash
# llama-3.1-8b: n_ctx 32,768
# long-context: the context is kept; an f16 cache and n_ubatch 2048 fit
# Predicted memory of llama-server in MiB:
#   CUDA0: 12,735.56 = weights 7,605.33 + KV cache 4,096.00 + compute buffer 560.04 + overhead 474.20
#   CUDA_Host: 192.54 = compute buffer 192.05 + output buffer 0.49
#   CPU: 532.31 = weights 532.31
# Host memory: 632 MiB are held from the start (buffers 193 MiB, the program and CUDA 440 MiB); 532 MiB of weights are pages of the file, which the system may drop and read again. In use it grows to 9,356 MiB at most: saved prompts up to 8,192 MiB (--cache-ram). What RAM the machine has was not said (--ram).
# It fits NVIDIA GeForce RTX 4090: more than 99 % likely.
# Listens on 127.0.0.1, port 5001, for this machine alone. `--host 0.0.0.0` opens it to the
# network: whoever reaches it may use it and can read along, as it asks for no key and
# speaks no TLS, unless --password and --ssl are given.
# The memory is what llama-server would take; koboldcpp, a program of its own, was not measured.
set -euo pipefail
exec "${KOBOLDCPP:-koboldcpp}" \
    --usecuda \
    --model '/models/Llama 3.1 8B.gguf' \
    --contextsize 32768 \
    --batchsize 2048 \
    --quantkv f16 \
    --gpulayers 33 \
    --host 127.0.0.1 \
    --port 5001 \
    "$@"
