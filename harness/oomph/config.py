"""One configuration to run a model with: llama.cpp's knobs, each declared once.

`RunConfig` is what an estimate is asked for and what a measured point was run with, so the two can
be held against each other. Defaults are llama-cpp-python 0.3.36's (llama_context_default_params),
which a sweep uses; `oomph.programs` has those of the programs that people run.
"""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Annotated, Any, Final, Self, get_args, get_type_hints

from oomph.errors import ConfigError
from oomph.frozen import frozen
from oomph.gguf.ggml_types import KV_CACHE_TYPES, quant
from oomph.knob import Knob, Part, Program
from oomph.patterns import unbounded
from oomph.speculation import DRAFT_MAX, SPEC_KINDS, kinds_of, most_drafted, rolled_back
from oomph.units import read_count, read_counts

FLASH_ATTN: Final = {"on": 1, "off": 0, "auto": -1}
"""llama.h, llama_flash_attn_type."""
SPLIT_MODES: Final = {"none": 0, "layer": 1, "row": 2, "tensor": 3}
"""llama.h, llama_split_mode."""
LOAD_MODES: Final = {"auto": -1, "none": 0, "mmap": 1, "mlock": 2, "mmap+mlock": 3, "dio": 4}
"""llama.h, llama_load_mode."""
ROPE_SCALINGS: Final = {"none": 0, "linear": 1, "yarn": 2}
"""llama.h, llama_rope_scaling_type."""
POOLINGS: Final = {"none": 0, "mean": 1, "cls": 2, "last": 3, "rank": 4}
"""llama.h, llama_pooling_type."""
_CACHE_TYPES: Final = {name: quant(name).number for name in KV_CACHE_TYPES}
_CACHE_WORDS: Final = {"fp16": "f16", "fp32": "f32", "q8": "q8_0", "q4": "q4_0"}
_CUT: Final[tuple[Program, ...]] = (
    "llama-server",
    "llama-cli",
    "llama-bench",
    "ollama",
    "lm-studio",
    "koboldcpp",
    "text-generation-webui",
)
"""Programs that keep no more of a sliding-window layer than its window."""
_SERVERS: Final[tuple[Program, ...]] = (
    "llama-server",
    "llama-cli",
    "ollama",
    "text-generation-webui",
)
"""Programs that are llama-server, or start one, and leave its caches on the host as they are."""
_ON: Final = ("on", "true", "1", "yes", "enabled")
_OFF: Final = ("off", "false", "0", "no", "disabled")
CONTEXT_STEP: Final = 256
"""Cells to which llama.cpp rounds a context up."""
COUNTED: Final = 1 << 31
"""llama.cpp counts in 32 bits with a sign."""
MAX_DEVICES: Final = 16
"""GGML_CUDA_MAX_DEVICES."""
MAX_LAYERS: Final = 512
"""LLAMA_MAX_LAYERS: no model has more."""
MAX_SEQUENCES: Final = 256
"""LLAMA_MAX_SEQ."""
MOST_SHARE: Final = 1e9
"""No share of a split and no factor of a scaling is larger."""


def padded_context(n_ctx: int) -> int:
    """The cells that llama.cpp makes of a context of `n_ctx`."""
    return -(-n_ctx // CONTEXT_STEP) * CONTEXT_STEP


@frozen
class RunConfig:
    """Knobs; None is "as the model or llama.cpp has it".

    `n_gpu_layers` counts the output layer, -1 is all. `n_outputs_max` None is n_batch, as
    llama-cpp-python has it (llama-server sets its slots). `override_tensor` is llama.cpp's
    `pattern=buffer type` list, separated by commas. `n_devices` is the number of cards, 0 for a
    machine (or build) without one. `n_depth` is how many cells each sequence has filled when speed
    is asked, `n_parallel` how many of the `n_seq_max` sequences decode at once. `rope_scale` is the
    factor that positions are divided by; RoPE changes no memory. `embeddings` asks for vectors, one
    an input as `pooling` makes it of its tokens' (with "rank", a score).
    """

    n_ctx: Annotated[
        int,
        Knob(
            part="context",
            memory="grows",
            least=1,
            sets=("n_ctx",),
            options=("--n-ctx", "--ctx-size", "-c"),
            keys={
                "llama-server": "ctx-size",
                "text-generation-webui": "ctx-size",
                "koboldcpp": "contextsize",
                "ollama": "num_ctx",
                "llama-cpp-python": "n_ctx",
            },
            is_logged=True,
            is_tabled=True,
        ),
    ] = 4096
    n_batch: Annotated[
        int,
        Knob(
            part="context",
            memory="grows",
            least=1,
            sets=("n_batch",),
            options=("--n-batch", "--batch-size", "-b"),
            keys={
                "llama-server": "batch-size",
                "text-generation-webui": "batch-size",
                "llama-cpp-python": "n_batch",
            },
            defaults={"koboldcpp": 1024, "text-generation-webui": 1024},
            bench="n_batch",
            is_logged=True,
            is_tabled=True,
        ),
    ] = 2048
    n_ubatch: Annotated[
        int,
        Knob(
            part="context",
            memory="grows",
            least=1,
            sets=("n_ubatch",),
            options=("--n-ubatch", "--ubatch-size", "-ub"),
            keys={
                "llama-server": "ubatch-size",
                "text-generation-webui": "ubatch-size",
                "koboldcpp": "batchsize",
                "ollama": "num_batch",
                "llama-cpp-python": "n_ubatch",
            },
            defaults={"text-generation-webui": 1024},
            bench="n_ubatch",
            is_logged=True,
            is_tabled=True,
        ),
    ] = 512
    n_seq_max: Annotated[
        int,
        Knob(
            part="context",
            memory="grows",
            least=1,
            all_words=("auto",),
            sets=("n_seq_max",),
            options=("--n-seq-max", "--parallel", "-np"),
            keys={"llama-server": "parallel", "text-generation-webui": "parallel"},
            defaults={"llama-server": 4, "lm-studio": 4},
            is_logged=True,
            is_tabled=True,
        ),
    ] = 1
    kv_unified: Annotated[
        bool,
        Knob(
            part="context",
            sets=("kv_unified",),
            options=("--kv-unified/--no-kv-unified", "-kvu/-no-kvu"),
            keys={"llama-server": "kv-unified"},
            is_logged=True,
        ),
    ] = False
    type_k: Annotated[
        str,
        Knob(
            part="context",
            memory="grows",
            choices=_CACHE_TYPES,
            words=_CACHE_WORDS,
            enumeration="GGML_TYPE_",
            sets=("type_k",),
            options=("--type-k", "--cache-type-k", "-ctk"),
            keys={
                "llama-server": "cache-type-k",
                "koboldcpp": "quantkv",
                "llama-cpp-python": "type_k",
            },
            bench="type_k",
            is_tabled=True,
        ),
    ] = "f16"
    type_v: Annotated[
        str,
        Knob(
            part="context",
            memory="grows",
            choices=_CACHE_TYPES,
            words=_CACHE_WORDS,
            enumeration="GGML_TYPE_",
            sets=("type_v",),
            options=("--type-v", "--cache-type-v", "-ctv"),
            keys={"llama-server": "cache-type-v", "llama-cpp-python": "type_v"},
            bench="type_v",
            is_tabled=True,
        ),
    ] = "f16"
    flash_attn: Annotated[
        str,
        Knob(
            part="context",
            choices=FLASH_ATTN,
            words=dict.fromkeys(_ON, "on") | dict.fromkeys(_OFF, "off") | {"-1": "auto"},
            sets=("flash_attn_type",),
            options=("--flash-attn", "-fa"),
            help="on, off or auto",
            keys={"llama-server": "flash-attn", "llama-cpp-python": "flash_attn"},
            defaults={"koboldcpp": "on", "text-generation-webui": "on"},
            bench="flash_attn",
            bench_column="fa",
            is_tabled=True,
        ),
    ] = "auto"
    swa_full: Annotated[
        bool,
        Knob(
            part="context",
            sets=("swa_full",),
            options=("--swa-full/--no-swa-full",),
            keys={"llama-server": "swa-full", "koboldcpp": "noswa", "llama-cpp-python": "swa_full"},
            defaults=dict.fromkeys(_CUT, False),
        ),
    ] = True
    n_gpu_layers: Annotated[
        int,
        Knob(
            part="model",
            all_words=("all", "auto"),
            sets=("n_gpu_layers",),
            options=("--n-gpu-layers", "--gpu-layers", "-ngl"),
            help="-1 is all",
            keys={
                "llama-server": "n-gpu-layers",
                "koboldcpp": "gpulayers",
                "ollama": "num_gpu",
                "llama-cpp-python": "n_gpu_layers",
            },
            bench="n_gpu_layers",
            bench_column="ngl",
            is_tabled=True,
        ),
    ] = -1
    n_cpu_moe: Annotated[
        int,
        Knob(
            part="model",
            least=0,
            options=("--n-cpu-moe", "-ncmoe"),
            keys={"llama-server": "n-cpu-moe", "koboldcpp": "moecpu"},
            bench="n_cpu_moe",
            bench_column="ncmoe",
            is_tabled=True,
        ),
    ] = 0
    n_cpu_ffn: Annotated[
        int,
        Knob(
            part="model",
            least=0,
            options=("--n-cpu-ffn", "-ncffn"),
            help="layers whose dense FFN stays on the host",
            keys={"llama-server": "n-cpu-ffn"},
            is_tabled=True,
            is_later=True,
        ),
    ] = 0
    override_tensor: Annotated[
        str | None,
        Knob(
            part="model",
            options=("--override-tensor", "-ot"),
            help="regex=CPU",
            is_repeated=True,
            keys={"llama-server": "override-tensor", "koboldcpp": "overridetensors"},
            bench="tensor_buft_overrides",
            bench_column="ot",
        ),
    ] = None
    tensor_split: Annotated[
        tuple[float, ...] | None,
        Knob(
            part="model",
            options=("--tensor-split", "-ts"),
            help="3,1",
            keys={
                "llama-server": "tensor-split",
                "text-generation-webui": "tensor-split",
                "koboldcpp": "tensor_split",
                "llama-cpp-python": "tensor_split",
            },
            bench="tensor_split",
            bench_column="ts",
        ),
    ] = None
    split_mode: Annotated[
        str,
        Knob(
            part="model",
            choices=SPLIT_MODES,
            enumeration="LLAMA_SPLIT_MODE_",
            sets=("split_mode",),
            options=("--split-mode", "-sm"),
            keys={
                "llama-server": "split-mode",
                "text-generation-webui": "split-mode",
                "llama-cpp-python": "split_mode",
            },
            bench="split_mode",
            bench_column="sm",
        ),
    ] = "layer"
    main_gpu: Annotated[
        int,
        Knob(
            part="model",
            sets=("main_gpu",),
            options=("--main-gpu", "-mg"),
            keys={
                "llama-server": "main-gpu",
                "koboldcpp": "maingpu",
                "ollama": "main_gpu",
                "llama-cpp-python": "main_gpu",
            },
            bench="main_gpu",
            bench_column="mg",
        ),
    ] = 0
    offload_kqv: Annotated[
        bool,
        Knob(
            part="context",
            sets=("offload_kqv",),
            options=("--no-kv-offload", "-nkvo"),
            help="KV cache on the host",
            is_negated=True,
            keys={
                "llama-server": "no-kv-offload",
                "text-generation-webui": "no-kv-offload",
                "koboldcpp": "lowvram",
                "llama-cpp-python": "offload_kqv",
            },
            bench="no_kv_offload",
            bench_column="nkvo",
        ),
    ] = True
    op_offload: Annotated[
        bool,
        Knob(
            part="context",
            sets=("op_offload",),
            options=("--no-op-offload",),
            is_negated=True,
            keys={"llama-server": "no-op-offload", "llama-cpp-python": "op_offload"},
            bench="no_op_offload",
            bench_column="nopo",
        ),
    ] = True
    n_outputs_max: Annotated[
        int | None,
        Knob(
            part="context",
            memory="grows",
            least=1,
            sets=("n_outputs_max",),
            options=("--n-outputs-max",),
            help="llama-server: its slots",
            is_logged=True,
        ),
    ] = None
    embeddings: Annotated[
        bool,
        Knob(
            part="context",
            sets=("embeddings",),
            options=("--embeddings/--no-embeddings", "--embedding"),
            help="vectors, not text",
            keys={"llama-server": "embedding", "llama-cpp-python": "embedding"},
            bench="embeddings",
            bench_column="embd",
            is_later=True,
        ),
    ] = False
    pooling: Annotated[
        str | None,
        Knob(
            part="context",
            choices=POOLINGS,
            enumeration="LLAMA_POOLING_TYPE_",
            sets=("pooling_type",),
            options=("--pooling",),
            help="none, mean, cls, last or rank",
            keys={"llama-server": "pooling", "llama-cpp-python": "pooling_type"},
            is_later=True,
        ),
    ] = None
    n_expert_used: Annotated[
        int | None,
        Knob(
            part="model",
            least=1,
            options=("--n-expert-used",),
            help="active experts",
            keys={"koboldcpp": "moeexperts", "llama-cpp-python": "kv_overrides"},
            is_tabled=True,
        ),
    ] = None
    n_devices: Annotated[
        int,
        Knob(
            part="model",
            least=0,
            options=("--n-devices",),
            help="cards; 0 is a CPU-only build",
            is_tabled=True,
        ),
    ] = 1
    n_threads: Annotated[
        int | None,
        Knob(
            part="context",
            memory="none",
            least=1,
            sets=("n_threads", "n_threads_batch"),
            options=("--n-threads", "--threads", "-t"),
            keys={
                "llama-server": "threads",
                "text-generation-webui": "threads",
                "koboldcpp": "threads",
                "ollama": "num_thread",
                "llama-cpp-python": "n_threads",
            },
            bench="n_threads",
            bench_column="threads",
            is_tabled=True,
        ),
    ] = None
    n_depth: Annotated[
        int,
        Knob(
            part="work",
            memory="none",
            least=0,
            options=("--n-depth", "-d"),
            help="cells filled when speed is asked",
        ),
    ] = 0
    n_parallel: Annotated[
        int,
        Knob(
            part="work",
            memory="none",
            least=1,
            options=("--n-parallel",),
            help="sequences that decode at once",
        ),
    ] = 1
    moe_cache_mib: Annotated[
        int,
        Knob(
            part="context",
            memory="grows",
            least=0,
            options=("--moe-cache-mib",),
            help="a newer llama.cpp's cache on the cards of experts that lie on the host, in MiB",
            keys={"llama-server": "moe-cache-mib"},
            is_later=True,
        ),
    ] = 0
    load_mode: Annotated[
        str,
        Knob(
            part="model",
            memory="none",
            choices=LOAD_MODES,
            options=("--load-mode", "-lm"),
            help="how the file is read: auto, none, mmap, mlock, mmap+mlock or dio",
            keys={"llama-server": "load-mode"},
            is_later=True,
        ),
    ] = "auto"
    cache_ram_mib: Annotated[
        int,
        Knob(
            part="work",
            memory="none",
            least=-1,
            options=("--cache-ram", "-cram"),
            help="MiB of host memory for saved prompts; -1 is without limit",
            keys={"llama-server": "cache-ram"},
            defaults=dict.fromkeys(_SERVERS, 8192),
            is_later=True,
        ),
    ] = 0
    ctx_checkpoints: Annotated[
        int,
        Knob(
            part="work",
            memory="none",
            least=0,
            options=("--ctx-checkpoints", "-ctxcp"),
            help="copies of a slot's windows and recurrent states on the host",
            keys={"llama-server": "ctx-checkpoints"},
            defaults=dict.fromkeys(_SERVERS, 32),
            is_later=True,
        ),
    ] = 0
    rope_scaling: Annotated[
        str | None,
        Knob(
            part="context",
            choices=ROPE_SCALINGS,
            enumeration="LLAMA_ROPE_SCALING_TYPE_",
            sets=("rope_scaling_type",),
            options=("--rope-scaling",),
            help="none, linear or yarn",
            keys={"llama-server": "rope-scaling", "llama-cpp-python": "rope_scaling_type"},
            is_later=True,
        ),
    ] = None
    rope_scale: Annotated[
        float | None,
        Knob(
            part="context",
            least=1,
            sets=("rope_freq_scale",),
            is_reciprocal=True,
            options=("--rope-scale",),
            help="the factor of the context",
            keys={"llama-server": "rope-scale", "llama-cpp-python": "rope_freq_scale"},
            is_later=True,
        ),
    ] = None
    yarn_orig_ctx: Annotated[
        int | None,
        Knob(
            part="context",
            least=1,
            sets=("yarn_orig_ctx",),
            options=("--yarn-orig-ctx",),
            help="the context that YaRN starts from",
            keys={"llama-server": "yarn-orig-ctx", "llama-cpp-python": "yarn_orig_ctx"},
            is_later=True,
        ),
    ] = None

    spec_type: Annotated[
        str | None,
        Knob(
            part="context",
            options=("--spec-type",),
            help="draft-mtp, draft-simple, …",
            keys={"llama-server": "spec-type"},
            is_later=True,
        ),
    ] = None
    spec_draft_n_max: Annotated[
        int,
        Knob(
            part="context",
            memory="grows",
            least=0,
            options=("--spec-draft-n-max",),
            help="tokens drafted at most",
            keys={"llama-server": "spec-draft-n-max"},
            is_later=True,
        ),
    ] = DRAFT_MAX
    spec_draft_type_k: Annotated[
        str,
        Knob(
            part="context",
            memory="grows",
            choices=_CACHE_TYPES,
            words=_CACHE_WORDS,
            options=("--spec-draft-type-k", "-ctkd", "--cache-type-k-draft"),
            help="K cache of the draft",
            keys={"llama-server": "cache-type-k-draft"},
            is_later=True,
        ),
    ] = "f16"
    spec_draft_type_v: Annotated[
        str,
        Knob(
            part="context",
            memory="grows",
            choices=_CACHE_TYPES,
            words=_CACHE_WORDS,
            options=("--spec-draft-type-v", "-ctvd", "--cache-type-v-draft"),
            help="V cache of the draft",
            keys={"llama-server": "cache-type-v-draft"},
            is_later=True,
        ),
    ] = "f16"
    spec_draft_ngl: Annotated[
        int,
        Knob(
            part="model",
            all_words=("all", "auto"),
            options=("--spec-draft-ngl", "-ngld", "--gpu-layers-draft"),
            help="the draft model's layers on cards; -1 is all",
            keys={"llama-server": "n-gpu-layers-draft"},
            is_later=True,
        ),
    ] = -1
    spec_draft_device: Annotated[
        str | None,
        Knob(
            part="model",
            options=("--spec-draft-device", "-devd", "--device-draft"),
            help="the draft model's cards: CUDA1, or none",
            keys={"llama-server": "spec-draft-device"},
            is_later=True,
        ),
    ] = None
    spec_draft_n_cpu_moe: Annotated[
        int,
        Knob(
            part="model",
            least=0,
            options=("--spec-draft-n-cpu-moe", "-ncmoed", "--n-cpu-moe-draft"),
            help="the draft's layers whose experts stay on the host",
            keys={"llama-server": "spec-draft-n-cpu-moe"},
            is_later=True,
        ),
    ] = 0
    spec_draft_override_tensor: Annotated[
        str | None,
        Knob(
            part="model",
            options=("--spec-draft-override-tensor", "-otd", "--override-tensor-draft"),
            help="of the draft: regex=CPU",
            is_repeated=True,
            keys={"llama-server": "spec-draft-override-tensor"},
            is_later=True,
        ),
    ] = None

    mmproj_offload: Annotated[
        bool,
        Knob(
            part="model",
            options=("--no-mmproj-offload",),
            help="the projector on the host",
            is_negated=True,
            keys={"llama-server": "no-mmproj-offload"},
            is_later=True,
        ),
    ] = True
    image_min_tokens: Annotated[
        int | None,
        Knob(
            part="model",
            least=1,
            options=("--image-min-tokens",),
            help="the least of an image",
            keys={"llama-server": "image-min-tokens"},
            is_later=True,
        ),
    ] = None
    image_max_tokens: Annotated[
        int | None,
        Knob(
            part="model",
            least=1,
            options=("--image-max-tokens",),
            help="the most of an image",
            keys={"llama-server": "image-max-tokens"},
            is_later=True,
        ),
    ] = None

    def __post_init__(self) -> None:
        _check(self)

    @property
    def n_ctx_seq(self) -> int:
        """Tokens that one sequence can hold: all of a unified cache, else its share."""
        return self.n_ctx if self.kv_unified else self.n_ctx // self.n_seq_max

    @property
    def spec_kinds(self) -> tuple[str, ...]:
        """The kinds of speculative decoding that are asked for; none by default."""
        return kinds_of(self.spec_type)

    @property
    def n_drafted(self) -> int:
        """Tokens that are drafted at most, and then verified at once."""
        return most_drafted(self.spec_type, self.spec_draft_n_max)

    @property
    def n_verified(self) -> int:
        """Rows of logits that llama-server's slots want at once: a token each, and those that are
        drafted (common_speculative_get_output_limits)."""
        return max(1, min(self.n_batch, self.n_seq_max * (1 + self.n_drafted)))

    @property
    def n_rolled_back(self) -> int:
        """Tokens by which recurrent states must be able to go back (n_rs_seq)."""
        return rolled_back(self.spec_type, self.spec_draft_n_max)

    @property
    def deepest(self) -> int:
        """Cells that each of `n_parallel` sequences can fill at once: they share a unified cache
        between them."""
        return self.n_ctx // self.n_parallel if self.kv_unified else self.n_ctx_seq

    def with_(self, **changes: Any) -> Self:
        """A copy with these knobs changed; ConfigError for a name that is no knob or a value it
        cannot take."""
        return replace(self, **_checked(changes))

    @property
    def tensor_overrides(self) -> str | None:
        """`override_tensor` with what `n_cpu_ffn` is in its words (common/common.h,
        LLM_FFN_DENSE_REGEX)."""
        if not self.n_cpu_ffn:
            return self.override_tensor
        layers = "|".join(map(str, range(min(self.n_cpu_ffn, MAX_LAYERS))))
        own = (self.override_tensor, rf"blk\.({layers})\.ffn_(up|down|gate)\.=CPU")
        return ",".join(filter(None, own))

    def of_memory(self) -> Self:
        """A copy with the knobs that memory does not depend on at their defaults."""
        return replace(self, **{name: _DEFAULTS[name] for name in knobs_by_memory("none")})

    def unlike(self, program: Program) -> dict[str, Any]:
        """The knobs that are not as the program has them by itself."""
        defaults = _DEFAULTS | defaults_of(program)
        return {name: value for name in KNOBS if (value := getattr(self, name)) != defaults[name]}

    def llama_params(self, part: Part) -> dict[str, int | float | bool]:
        """The fields of llama_model_params or llama_context_params that knobs set as they are; what
        is None stays llama.cpp's own."""
        return {
            field: knob.number(value)
            for name, knob in KNOBS.items()
            if knob.part == part and (value := getattr(self, name)) is not None
            for field in knob.sets
        }

    @classmethod
    def from_mapping(cls, knobs: Mapping[str, Any], *, where: str = "configuration") -> Self:
        """The configuration a JSON object or TOML table spells; `where` names it in the
        ConfigError."""
        try:
            return cls(**_checked(knobs))
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None

    def to_dict(self) -> dict[str, Any]:
        """All knobs by name, ready for JSON; later ones only where set, so that a point keeps the
        id it had before there were any."""
        return {
            name: value
            for name, knob in KNOBS.items()
            if (value := getattr(self, name)) != _DEFAULTS[name] or not knob.is_later
        }


_HINTS: Final = get_type_hints(RunConfig, include_extras=True)
KNOBS: Final[Mapping[str, Knob]] = {
    field.name: _HINTS[field.name].__metadata__[0] for field in fields(RunConfig)
}
"""What is declared of each knob, in the order of the fields."""
KINDS: Final[Mapping[str, str]] = {
    name: str(getattr(kind, "__name__", kind))
    for name in KNOBS
    for kind in get_args(_HINTS[name])[:1]
}
"""Each knob's type, as Python writes it."""
_DEFAULTS: Final[dict[str, Any]] = {field.name: field.default for field in fields(RunConfig)}
LOAD_KNOBS: Final = tuple(name for name, knob in KNOBS.items() if knob.part == "model")
"""The knobs of a load: a change of one means loading the model again."""
_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "int": (int,),
    "bool": (bool, int),
    "str": (str,),
    "int | None": (int, type(None)),
    "str | None": (str, type(None)),
    "tuple[float, ...] | None": (tuple, list, type(None)),
    "float | None": (int, float, type(None)),
}
_WORDS: Final = dict.fromkeys(_ON, True) | dict.fromkeys(_OFF, False)
_EXPECTED: Final = {
    "int": "a whole number: 8192, 90k (90,000), 128K (131,072)",
    "int | None": "a whole number, or none",
    "bool": "on or off",
    "float | None": "a number, or none",
    "tuple[float, ...] | None": "numbers separated by commas",
}


def is_said(knob: str, value: Any) -> bool:
    """Whether `RunConfig.to_dict` has the knob at this value."""
    return bool(value != _DEFAULTS[knob] or not KNOBS[knob].is_later)


def knobs_by_memory(memory: str) -> tuple[str, ...]:
    """The knobs with which memory grows, or does not change ("none")."""
    return tuple(name for name, knob in KNOBS.items() if knob.memory == memory)


def defaults_of(program: Program) -> dict[str, Any]:
    """The knobs that the program has at another value than RunConfig, while nothing is said."""
    return {
        name: knob.defaults[program] for name, knob in KNOBS.items() if program in knob.defaults
    }


def keys_of(program: Program) -> dict[str, str]:
    """What the program calls each knob that it has a name for."""
    return {name: knob.keys[program] for name, knob in KNOBS.items() if program in knob.keys}


def knob_value(knob: str, text: str) -> Any:
    """The value that `text` spells for `knob`: `1024`, `90k` (90,000), `128K` (131,072), `fp16`,
    `on`, `3/1` (a tensor split), `all`, `none`. ConfigError for what it cannot be."""
    kind, declared, word = _kind(knob), KNOBS[knob], text.strip().lower()
    if word == "none" and "None" in kind and "none" not in declared.choices:
        return None
    if declared.choices:
        return declared.words.get(word, word if word in declared.choices else text)
    if word in declared.all_words:
        return -1
    try:
        if kind.startswith("tuple"):
            return tuple(float(part) for part in text.replace("/", ",").split(","))
        if kind == "bool":
            return _WORDS[word]
        if kind.startswith("float"):
            return float(text)
        return read_count(text) if kind.startswith("int") else text
    except (ValueError, KeyError):
        raise ConfigError(f"{knob} is {text!r}; it takes {_EXPECTED[kind]}") from None


def knob_values(knob: str, text: str | None) -> list[Any]:
    """The values that `text` lists, by comma or as a range (`8-10`); None, "as the model has it",
    where nothing is said."""
    if not text:
        return [None]
    return [value for part in text.split(",") for value in spelled(knob, part)]


def spelled(knob: str, text: str) -> list[Any]:
    """The values of one item: several of a range of whole numbers."""
    low, dash, _ = text.strip().partition("-")
    if low and dash and _kind(knob).startswith("int"):
        try:
            return list(read_counts(text))
        except ValueError as error:
            raise ConfigError(f"{knob} is {text!r}; {error}") from None
    return [knob_value(knob, text)]


def _kind(knob: str) -> str:
    if knob not in KINDS:
        raise ConfigError(f"unknown knob {knob!r}; the knobs are {', '.join(KINDS)}")
    return KINDS[knob]


def _checked(knobs: Mapping[str, Any]) -> dict[str, Any]:
    """`knobs` with each name and type held against RunConfig's fields, lists made tuples and 0/1
    made booleans."""
    checked: dict[str, Any] = {}
    for key, value in knobs.items():
        kind = _kind(key)
        if isinstance(value, str):
            value = knob_value(key, value)
        if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "bool"):
            raise ConfigError(f"{key} is {value!r}; it takes {kind}")
        if kind == "bool":
            value = bool(value)
        if isinstance(value, list | tuple):
            if not all(isinstance(item, int | float) for item in value):
                raise ConfigError(f"{key} is {str(value)[:80]}; it takes {kind}")
            value = tuple(float(item) for item in value)
        if key.endswith("override_tensor") and value and (why := unbounded(value)):
            raise ConfigError(f"{key} has a pattern {why}; write it with less")
        checked[key] = value
    return checked


_BOUNDED: Final = {name: knob.least for name, knob in KNOBS.items() if knob.least is not None}
HELD_TOGETHER: Final = ("n_parallel", "n_seq_max")
"""The knobs of which one's values are bounded by another's; every other is checked by itself."""
_WORDED: Final = {name: tuple(knob.choices) for name, knob in KNOBS.items() if knob.choices}


def _check_shares(config: RunConfig) -> None:
    """ConfigError for more cards than llama.cpp takes, for shares that are none, and for a
    factor that is none."""
    if config.n_devices > MAX_DEVICES:
        raise ConfigError(f"n_devices is {config.n_devices}; llama.cpp takes {MAX_DEVICES} at most")
    shares = config.tensor_split
    if shares and not (len(shares) <= MAX_DEVICES and all(0 <= s <= MOST_SHARE for s in shares)):
        raise ConfigError(
            f"tensor_split is {str(shares)[:80]}; it takes up to {MAX_DEVICES} shares from 0 to "
            f"{MOST_SHARE:g}"
        )
    scale = config.rope_scale
    if scale is not None and not 0 < scale <= MOST_SHARE:
        raise ConfigError(f"rope_scale is {scale:g}; it takes a number from 0 to {MOST_SHARE:g}")


def _check(config: RunConfig) -> None:
    """ConfigError for a value that llama.cpp cannot take, or for sequences that have no place."""
    for name, least in _BOUNDED.items():
        value = getattr(config, name)
        if value is not None and not least <= value < COUNTED:
            if value >= COUNTED:
                raise ConfigError(f"{name} is {value}; llama.cpp counts to {COUNTED - 1}")
            left_out = ", or left out" if "None" in KINDS[name] else ""
            raise ConfigError(f"{name} is {value}; it must be at least {least}{left_out}")
    for name, words in _WORDED.items():
        value = getattr(config, name)
        if value not in words and not (value is None and "None" in KINDS[name]):
            raise ConfigError(f"{name} is {value!r}; it must be one of {', '.join(words)}")
    _check_shares(config)
    if unknown := [kind for kind in config.spec_kinds if kind not in SPEC_KINDS]:
        raise ConfigError(
            f"spec_type is {str(config.spec_type)[:80]!r}; llama.cpp has no {unknown[0][:40]!r}, "
            f"but {', '.join(SPEC_KINDS)}"
        )
    if config.n_parallel > config.n_seq_max:
        raise ConfigError(
            f"n_parallel is {config.n_parallel} and n_seq_max {config.n_seq_max}: the context has "
            f"no place for so many sequences; set n_seq_max to {config.n_parallel} or more"
        )
