"""llama-cpp-python: the same configuration as a Python program.

Written against its version 0.3.36. Unlike llama-server it keeps logits for a whole batch, does not
cap the context, and its `Llama` has no word for single tensors or experts on the CPU.
"""

from oomph.advise.launch_plan import Launch
from oomph.units import mib
from oomph.views.launch.saying import (
    Unsayable,
    about,
    checked_path,
    commented,
    metadata_key,
    verdict,
)


def render_python(launch: Launch) -> str:
    """A program that loads the model and answers its first argument. Unsayable where `Llama` has no
    word for it."""
    config = launch.config
    if config.n_cpu_moe or config.override_tensor:
        raise Unsayable(
            "llama-cpp-python's Llama cannot put experts or single tensors on the CPU; "
            "n_gpu_layers can"
        )
    if config.n_seq_max > 1:
        raise Unsayable("llama-cpp-python's Llama has one slot")
    arguments = {
        "model_path": repr(checked_path(launch.model_path)),
        "n_ctx": config.n_ctx,
        "n_batch": config.n_batch,
        "n_ubatch": config.n_ubatch,
        "n_gpu_layers": config.n_gpu_layers if config.n_devices else 0,
        "flash_attn": config.flash_attn != "off",
        "type_k": f"llama_cpp.GGML_TYPE_{config.type_k.upper()}",
        "type_v": f"llama_cpp.GGML_TYPE_{config.type_v.upper()}",
        "swa_full": config.swa_full,
        "offload_kqv": config.offload_kqv,
        "op_offload": config.op_offload,
    } | _optional(launch)
    head = (
        *about(launch),
        "llama-cpp-python keeps logits for a whole batch and takes "
        f"{mib(launch.library.memory.total_vram_bytes)} on cards. "
        f"{verdict(launch, launch.library)}",
    )
    return (
        commented(head)
        + "import sys\n\nimport llama_cpp\n\nllama = llama_cpp.Llama(\n"
        + "".join(f"    {name}={value},\n" for name, value in arguments.items())
        + "    verbose=False,\n)\n"
        + 'question = sys.argv[1] if len(sys.argv) > 1 else "Hello"\n'
        + 'answer = llama.create_chat_completion([{"role": "user", "content": question}], '
        "max_tokens=64)\n" + 'print(answer["choices"][0]["message"]["content"])\n'
    )


def _optional(launch: Launch) -> dict[str, object]:
    """Arguments whose default means "as the model has it"."""
    config, found = launch.config, dict[str, object]()
    if config.n_expert_used:
        found["kv_overrides"] = repr(
            {metadata_key(launch, "expert_used_count"): config.n_expert_used}
        )
    if config.rope_scaling:
        found["rope_scaling_type"] = (
            f"llama_cpp.LLAMA_ROPE_SCALING_TYPE_{config.rope_scaling.upper()}"
        )
    if config.rope_scale:
        found["rope_freq_scale"] = f"1 / {config.rope_scale:g}"
    if config.yarn_orig_ctx:
        found["yarn_orig_ctx"] = config.yarn_orig_ctx
    if config.tensor_split:
        found["tensor_split"] = repr(list(config.tensor_split))
    if config.split_mode != "layer":
        found["split_mode"] = f"llama_cpp.LLAMA_SPLIT_MODE_{config.split_mode.upper()}"
    if config.main_gpu:
        found["main_gpu"] = config.main_gpu
    if config.n_threads:
        found["n_threads"] = config.n_threads
    return found
