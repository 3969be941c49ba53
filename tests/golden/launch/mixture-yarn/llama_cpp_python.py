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
# llama-cpp-python keeps logits for a whole batch and takes 26,960 MiB on cards. It fits NVIDIA RTX PRO 6000 Blackwell Workstation Edition: more than 99 % likely.
import sys

import llama_cpp

llama = llama_cpp.Llama(
    model_path='/models/model.gguf',
    n_ctx=90000,
    n_batch=2048,
    n_ubatch=512,
    n_gpu_layers=-1,
    flash_attn=True,
    type_k=llama_cpp.GGML_TYPE_F16,
    type_v=llama_cpp.GGML_TYPE_F16,
    swa_full=False,
    offload_kqv=True,
    op_offload=True,
    kv_overrides={'qwen3moe.expert_used_count': 10},
    rope_scaling_type=llama_cpp.LLAMA_ROPE_SCALING_TYPE_YARN,
    rope_freq_scale=1 / 2.75,
    yarn_orig_ctx=32768,
    verbose=False,
)
question = sys.argv[1] if len(sys.argv) > 1 else "Hello"
answer = llama.create_chat_completion([{"role": "user", "content": question}], max_tokens=64)
print(answer["choices"][0]["message"]["content"])
