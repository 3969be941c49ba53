# llama-3.1-8b: n_ctx 32,768
# long-context: the context is kept; an f16 cache and n_ubatch 2048 fit
# Predicted memory of llama-server in MiB:
#   CUDA0: 12,735.56 = weights 7,605.33 + KV cache 4,096.00 + compute buffer 560.04 + overhead 474.20
#   CUDA_Host: 192.54 = compute buffer 192.05 + output buffer 0.49
#   CPU: 532.31 = weights 532.31
# Host memory: 632 MiB are held from the start (buffers 193 MiB, the program and CUDA 440 MiB); 532 MiB of weights are pages of the file, which the system may drop and read again. In use it grows to 9,356 MiB at most: saved prompts up to 8,192 MiB (--cache-ram). What RAM the machine has was not said (--ram).
# It fits NVIDIA GeForce RTX 4090: more than 99 % likely.
# llama-cpp-python keeps logits for a whole batch and takes 13,210 MiB on cards. It fits NVIDIA GeForce RTX 4090: more than 99 % likely.
import sys

import llama_cpp

llama = llama_cpp.Llama(
    model_path='/models/Llama 3.1 8B.gguf',
    n_ctx=32768,
    n_batch=2048,
    n_ubatch=2048,
    n_gpu_layers=-1,
    flash_attn=True,
    type_k=llama_cpp.GGML_TYPE_F16,
    type_v=llama_cpp.GGML_TYPE_F16,
    swa_full=False,
    offload_kqv=True,
    op_offload=True,
    verbose=False,
)
question = sys.argv[1] if len(sys.argv) > 1 else "Hello"
answer = llama.create_chat_completion([{"role": "user", "content": question}], max_tokens=64)
print(answer["choices"][0]["message"]["content"])
