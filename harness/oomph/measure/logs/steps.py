"""The next step for every outcome, in words: a table, from the general to what a line names."""

from typing import Final, NamedTuple

STEPS: Final[dict[str, str]] = {
    "ok": "nothing to mend",
    "oom_weights": "put fewer layers on the card (n_gpu_layers), or the experts of some layers on "
    "the CPU (n_cpu_moe), or take a smaller quantization",
    "oom_kv": "take a smaller n_ctx, or type_k and type_v q8_0 with flash attention, which nearly "
    "halves the KV cache",
    "oom_compute": "take a smaller n_ubatch, or turn flash attention on: without it this buffer "
    "grows with n_ctx",
    "oom_runtime": "leave a reserve: it loaded, and the run needed more; lower n_ctx or n_ubatch, "
    "or turn flash attention on, and prove it at the fill you need",
    "host_oom": "the host's memory was exceeded, not the card's: keep mmap on, put more layers on "
    "the card, or raise the container's memory limit",
    "device_lost": "the card stopped answering: read the kernel's log, cool it or lower its power "
    "limit, reset it, and run it again",
    "driver_missing": "the program found no usable card: check the driver, and that the build is "
    "for this card",
    "bad_model": "the file cannot be loaded by this build: check its size and hash against the "
    "source, or take a newer llama.cpp",
    "bad_config": "change the knob that the evidence names",
    "timeout": "give it more time, or measure less (fewer tokens, a smaller depth)",
    "killed": "somebody outside ended it, which says nothing of its configuration: run it again; "
    "`dmesg | grep -i oom` tells whether the kernel did it for want of memory",
    "crash": "the log does not say why: run it again with verbose output and GGML_NO_BACKTRACE=1",
}


class Step(NamedTuple):
    """Advice for an outcome where the deciding line matches `line`, of one context or backend where
    those are named."""

    outcome: str
    text: str
    line: str = ""
    context: str = ""
    backend: str = ""


CASES: Final = (
    Step(
        "oom_weights",
        "the projector's weights were refused: keep it on the host (--no-mmproj-offload), or leave "
        "it out (--no-mmproj)",
        context="projector",
    ),
    Step(
        "oom_compute",
        "the projector's own buffer was refused: keep it on the host (--no-mmproj-offload), or "
        "allow fewer image tokens (--image-max-tokens); n_ubatch does not bear on it",
        context="projector",
    ),
    Step(
        "oom_runtime",
        "an image needed more than was left: keep the projector on the host "
        "(--no-mmproj-offload), or allow fewer image tokens (--image-max-tokens)",
        context="projector",
    ),
    Step(
        "oom_weights",
        "the draft model's weights were refused: put fewer of its layers on the card "
        "(--n-gpu-layers-draft), or go without it",
        context="draft",
    ),
    Step(
        "oom_kv",
        "the draft model's cache was refused: give it a shorter context (--ctx-size-draft) or "
        "smaller types (--cache-type-k-draft, --cache-type-v-draft), or go without it",
        context="draft",
    ),
    Step(
        "oom_compute",
        "the draft model's compute buffer was refused: leave it room with a smaller n_ctx or "
        "n_ubatch of the main model, or go without the draft",
        context="draft",
    ),
    *(
        Step(
            outcome,
            "the main model's context was made, the MTP head's was refused: go without it (drop "
            "--spec-type draft-mtp), draft fewer tokens (--spec-draft-n-max), or leave it room "
            "with a smaller n_ctx",
            context="mtp",
        )
        for outcome in ("oom_kv", "oom_compute", "oom_runtime")
    ),
    Step(
        "bad_config",
        "the file has no MTP head: drop --spec-type draft-mtp, or fetch a file that has one",
        line=r"MTP requested but",
    ),
    Step(
        "host_oom",
        "the host's memory was exceeded while llama-server kept prompts of earlier requests: give "
        "them a limit (--cache-ram MIB, 0 for none) and keep fewer checkpoints of each slot "
        "(--ctx-checkpoints)",
        context="prompt_cache",
    ),
    Step(
        "host_oom",
        "the host's memory was exceeded while llama-server kept checkpoints of a slot's state: "
        "keep fewer of them (--ctx-checkpoints), and limit the prompt cache (--cache-ram MIB)",
        context="checkpoint",
    ),
    Step(
        "host_oom",
        "the model is larger than the memory that Ollama found free: close other programs, or "
        "take a smaller quantization or context",
        line=r"requires more system memory|too large for system",
    ),
    Step(
        "oom_weights",
        "num_gpu layers do not fit: leave num_gpu out, so that Ollama chooses, or lower it",
        line=r"memory layout cannot be allocated",
    ),
    Step(
        "bad_config",
        "turn flash attention on (flash_attn = on), or keep type_v at f16",
        line=r"[Vv] cache|V.*cache",
    ),
    Step("bad_config", "n_expert_used must not exceed the model's n_expert", line=r"n_expert_used"),
    Step("bad_config", "raise n_ctx, or send a shorter prompt", line=r"available context|exceed"),
    Step(
        "bad_config",
        "the context was full: raise n_ctx, or send less at once",
        line=r"(?:memory|KV) (?:cache )?slot|KV cache is full",
    ),
    Step(
        "bad_config",
        "another program holds the port: end it, or choose another",
        line=r"already in use|bind",
    ),
    Step(
        "bad_model",
        "this build is older than the model: take a newer one",
        line=r"unknown model architecture|pre-tokenizer",
    ),
    Step(
        "bad_model",
        "the file is a Git LFS pointer, not the model: fetch it with `git lfs pull`",
        line=r"73726576",
    ),
    Step(
        "bad_model",
        "the file is older than GGUF: fetch it as GGUF",
        line=r"67676a74|67676d66|too old|no longer",
    ),
    Step(
        "bad_model",
        "the download is incomplete: fetch the file again",
        line=r"file bounds|truncated|end of file|incomplete",
    ),
    Step(
        "bad_model",
        "the path names no file: check it",
        line=r"[Nn]o such file|does not exist|failed to open",
    ),
    Step(
        "driver_missing",
        "this build has no code for this card: take one that lists its compute capability",
        line=r"no kernel image|device code|device function",
    ),
    Step(
        "driver_missing",
        "the driver is older than the CUDA runtime: update it",
        line=r"insufficient|toolchain|unsupported display",
    ),
    Step(
        "driver_missing",
        "a library of the program was not found: install what it was built with, beside it or in "
        "the system's path",
        line=r"\.dll|DLL|GLIBC|no backends|lib\w+\S*: cannot open|3221225781|(?i:c0000135)",
    ),
    Step(
        "driver_missing",
        "the program found no usable card: check `nvidia-smi`, and that the build is for this "
        "card's compute capability and this driver's CUDA version",
        backend="cuda",
    ),
    Step(
        "driver_missing",
        "the program found no usable card: check `rocminfo`, and that the build is for this card's "
        "gfx target",
        backend="rocm",
    ),
    Step(
        "driver_missing",
        "the program found no usable card: check `vulkaninfo --summary`, and update the driver",
        backend="vulkan",
    ),
    Step(
        "driver_missing",
        "the program found no usable card: check `sycl-ls`, and that the oneAPI environment is set",
        backend="sycl",
    ),
    Step(
        "device_lost",
        "macOS ended the card's work because it held up the screen: take a smaller n_ubatch",
        line=r"ImpactingInteractivity",
    ),
    Step(
        "device_lost",
        "the card stopped answering: read `dmesg | grep -i xid`, cool it or lower its power "
        "limit, reset it, and run it again",
        backend="cuda",
    ),
    Step(
        "device_lost",
        "the card stopped answering: read `dmesg | grep -i amdgpu`, cool it or lower its power "
        "limit, and run it again",
        backend="rocm",
    ),
    *(
        Step(
            "device_lost",
            "the driver gave the card up, often because one piece of work took too long: take a "
            "smaller n_ubatch, update the driver, and run it again",
            backend=backend,
        )
        for backend in ("vulkan", "sycl", "metal", "opencl")
    ),
    Step(
        "device_lost",
        "the machine that serves the card over the network stopped answering: look at rpc-server's "
        "own log there",
        backend="rpc",
    ),
    Step(
        "crash",
        "making the context failed and the cause was not logged: run it again with verbose output",
        line=r"context",
    ),
)
