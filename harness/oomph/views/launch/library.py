"""llama-cpp-python: the same configuration as a Python program.

Written against its version 0.3.36. Unlike llama-server it keeps logits for a whole batch, does not
cap the context, and its `Llama` has no word for single tensors or experts on the CPU.
"""

from typing import Any, Final

from oomph.advise.launch_plan import Launch
from oomph.config import KNOBS, keys_of
from oomph.programs.spelling import NoSpellingError, checked_path, refuse_unspelled, spelled_knobs
from oomph.units import mib
from oomph.views.launch.spelling import about, commented, metadata_key, refuse_beside, verdict

ALWAYS: Final = (
    "n_ctx",
    "n_batch",
    "n_ubatch",
    "n_gpu_layers",
    "flash_attn",
    "type_k",
    "type_v",
    "swa_full",
    "offload_kqv",
    "op_offload",
)
"""Said even where `Llama` has it so by itself: other programs have not."""


_WRITES: Final = (
    'answer = llama.create_chat_completion([{"role": "user", "content": question}], '
    "max_tokens=64)\n"
    'print(answer["choices"][0]["message"]["content"])\n'
)
_READS: Final = "print(llama.embed(question))\n"


def render_python(launch: Launch) -> str:
    """A program that loads the model and answers its first argument. Unsayable where `Llama` has no
    word for it."""
    refuse_beside(launch, "llama-cpp-python")
    config = launch.config
    if config.n_cpu_moe or config.override_tensor:
        raise NoSpellingError(
            "llama-cpp-python's Llama cannot put experts or single tensors on the CPU; "
            "n_gpu_layers can"
        )
    if config.n_seq_max > 1:
        raise NoSpellingError("llama-cpp-python's Llama has one slot")
    refuse_unspelled(config, "llama-cpp-python", ("n_devices", "n_outputs_max", "kv_unified"))
    asked = config if config.n_devices else config.with_(n_gpu_layers=0)
    knobs, keys = spelled_knobs(asked, "llama-cpp-python", ALWAYS), keys_of("llama-cpp-python")
    arguments = {"model_path": repr(checked_path(launch.model_path))} | {
        keys[name]: _expression(launch, name, value) for name, value in knobs.items()
    }
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
        + (_READS if config.embeddings else _WRITES)
    )


def _expression(launch: Launch, name: str, value: Any) -> str:
    """A knob's value as Python writes it for `Llama`."""
    knob = KNOBS[name]
    if name == "n_expert_used":
        return repr({metadata_key(launch, "expert_used_count"): value})
    if name == "flash_attn":
        return repr(value != "off")
    if value == "bf16":  # which llama-cpp-python has no name for
        return str(knob.choices[value])
    if knob.enumeration:
        return f"llama_cpp.{knob.enumeration}{value.upper()}"
    if knob.is_reciprocal:
        return f"1 / {value:g}"
    return repr(list(value) if isinstance(value, tuple) else value)
