"""NOTES.md of a launch folder: what each file is for, what is left out, what does not exist.

Chats and forum posts propose flags that llama.cpp never had; each is named here with the form that
works.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from oomph.advise.launch_plan import Launch
from oomph.units import count
from oomph.views.launch.server import rope_flags
from oomph.views.launch.spelling import about, metadata_key

_USES: Final[Mapping[str, str]] = {
    "llama-server.sh": "`./llama-server.sh`, then http://127.0.0.1:8080",
    "models.ini": "`llama-server --models-preset models.ini`; a request names the model",
    "text-generation-webui/CMD_FLAGS.txt": "copy into its `user_data/`; written against version "
    "4.7.3",
    "text-generation-webui/settings.yaml": "copy into its `user_data/`",
    "koboldcpp.sh": "`./koboldcpp.sh`; written against version 1.117.1",
    "Modelfile": "`ollama create NAME -f Modelfile`; written against version 0.33.0",
    "llama_cpp_python.py": "`python llama_cpp_python.py 'a question'`; llama-cpp-python 0.3.36",
    "config.rope_scaling.json": "merge into the config.json of the unquantized model, for "
    "transformers and vLLM",
}


def render_notes(launch: Launch, written: Sequence[str], left_out: Mapping[str, str]) -> str:
    """The folder's NOTES.md, in Markdown."""
    return "\n".join(
        [
            "# Launch files",
            "",
            "```",
            *(line.replace("`", "'") for line in about(launch)),
            "```",
            "",
            *(f"- `{name}`: {_USES[name]}" for name in written),
            *(f"- `{name}` is left out: {why}" for name, why in left_out.items()),
            "",
            "The scripts listen on 127.0.0.1, for this machine alone. `./llama-server.sh --host "
            "0.0.0.0` opens a server to the network: whoever reaches it may use it and can read "
            "along, for it asks for no key and speaks no TLS unless `--api-key-file` and "
            "`--ssl-key-file` with `--ssl-cert-file` are given. What takes `models.ini`, "
            "text-generation-webui and Ollama listen on 127.0.0.1 too, unless `--host`, `--listen` "
            "or `OLLAMA_HOST` say otherwise.",
            "",
            "All spell the same configuration. `oomph launch --check` starts the script and holds "
            "what llama-server reports against what it promises.",
            "",
            "## Proposed by chats, and not there",
            "",
            *(f"- {said}: {true}" for said, true in _corrections(launch)),
            "",
        ]
    )


def _corrections(launch: Launch) -> tuple[tuple[str, str], ...]:
    """What is proposed, and what llama.cpp takes, with this model's own keys."""
    key, used = metadata_key(launch, "expert_used_count"), launch.config.n_expert_used or "N"
    rope = " ".join(f"--{name} {value}" for name, value in rope_flags(launch.config).items())
    return (
        (
            "`--num-experts N`",
            f"`--override-kv {key}=int:{used}`; the key begins with the architecture, and a wrong "
            "key is ignored in silence",
        ),
        ("`--override-kv` twice", "the second replaces the first; one list, separated by commas"),
        (
            "`--rope-scaling dynamic`",
            f"`none`, `linear`, `yarn` are all there is{f'; here `{rope}`' if rope else ''}",
        ),
        (
            "`-c` alone for a longer context",
            "the cache takes the memory of all of it, and llama-server caps each slot "
            f"at the file's {count(launch.spec.n_ctx_train)} tokens",
        ),
        (
            'a GGUF "generated with --ctx"',
            "a GGUF holds weights and the trained context; n_ctx is chosen at each load",
        ),
        (
            "`--gpu-memory`",
            "`--n-gpu-layers`, `--n-cpu-moe` and `--tensor-split` say what goes where",
        ),
        (
            "fewer active experts to save memory",
            "all experts are in memory however many are active; `--n-cpu-moe` "
            "moves them to the host",
        ),
    )
