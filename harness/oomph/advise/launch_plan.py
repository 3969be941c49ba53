"""What to launch: a profile's choice of the knobs that nobody asked for, made by what fits.

Stands apart from `alternatives`, which prices every way out of a configuration that does not fit:
here one is chosen, in the order in which a profile gives things up, and settled for llama-server,
whose defaults are not those of llama-cpp-python.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from itertools import product
from pathlib import Path
from typing import Any, Final

from oomph.advise.answer import MODEL_FILE
from oomph.advise.max_context import longest_divided
from oomph.advise.placement.proof import Placed, n_layers_without_experts
from oomph.advise.placement.search import ALL_BUT_WHERE, best_placement, divided
from oomph.advise.speeds import Speeds, speeds
from oomph.advise.verdict import EVEN, SURE
from oomph.architectures.families import family_of
from oomph.architectures.rope import (
    RopeScaling,
    extension,
    longest_extension,
    native_context,
    uncapped_context_length,
)
from oomph.architectures.spec import ModelSpec
from oomph.calibrate.subject import asked_of
from oomph.cards import CardNames, kinds
from oomph.config import MAX_SEQUENCES, RunConfig, padded_context
from oomph.errors import ConfigError
from oomph.estimate.estimator import Estimator
from oomph.estimate.graph.pooling import own_pooling
from oomph.estimate.host_memory import fitting_caches
from oomph.estimate.prediction import Prediction
from oomph.estimate.projector.rider import Projector
from oomph.frozen import frozen
from oomph.paths import expanded
from oomph.programs.pasted import is_path
from oomph.programs.said import Said
from oomph.units import count

UBATCHES: Final = (2048, 1024, 512)
"""n_ubatch from the fastest prefill to llama.cpp's default."""
HALVINGS: Final = 5
"""Micro-batches that are tried for embeddings, each half of the one before."""
ANSWER: Final = 512
"""Tokens of an answer, to weigh a prompt against: a prompt of half the context is read, then so
many are written."""


ONE_SLOT: Final[Mapping[str, Any]] = {"n_seq_max": 1, "flash_attn": "on"}
"""What a launch says of itself where nothing was asked: one user's slot, and no surprise."""


@frozen
class Launch:
    """A model file and the one configuration that all launch files of it spell.

    `prediction` is llama-server's, `library` that of llama-cpp-python. `reason` says in a sentence
    why the profile chose so. `scaling` is the RoPE scaling that n_ctx needs, `context_length` the
    one to override so that no slot is capped. `card` is None where none is named, `speeds` where
    none are known. `devices` are the cards to run on by llama.cpp's names, where they were named;
    `files` is where what is loaded beside the model lies, by what it is ("draft").
    """

    model_path: str
    spec: ModelSpec
    config: RunConfig
    prediction: Prediction
    library: Prediction
    profile: str
    reason: str
    card: str | None
    devices: tuple[str, ...]
    scaling: RopeScaling | None
    context_length: int | None
    speeds: Speeds | None
    files: Mapping[str, str] = field(default_factory=dict)


@frozen
class Profile:
    """How a profile goes about it: KV types from the one it likes best, whether it weighs the time
    that each way takes, whether an n_ctx that nobody asked for is the longest that its makers
    publish instead of the native one, and whether it leaves layers of a dense model on the host,
    where they crawl."""

    kv_types: tuple[str, ...]
    aim: str
    weighs_time: bool = False
    stretches: bool = False
    splits_layers: bool = False


PROFILES: Final[Mapping[str, Profile]] = {
    "quality": Profile(kv_types=("f16",), aim="nothing is rounded that the file has not rounded"),
    "long-context": Profile(
        kv_types=("f16", "q8_0"), aim="the context is kept", stretches=True, splits_layers=True
    ),
    "fast": Profile(kv_types=("f16", "q8_0"), aim="the least time is taken", weighs_time=True),
}
DEFAULT_PROFILE: Final = "quality"
"""A careful person's: the native context, no RoPE scaling, no quantized cache, no layers on the
host, unless they are asked for."""


def choose(
    estimator: Estimator,
    knobs: Mapping[str, Any],
    *,
    model_path: str,
    profile: str,
    devices: Sequence[str] = (),
    files: Mapping[str, str] | None = None,
) -> Launch:
    """The launch of `profile` with `knobs` (RunConfig's) as they are asked for; n_ctx left out is
    the profile's too.

    Where nothing that the profile may choose fits, the launch is its last resort:
    `launch.prediction.fits` says so. ConfigError for a profile that there is not, or knobs that the
    model cannot have.
    """
    if profile not in PROFILES:
        raise ConfigError(f"there is no profile {profile!r}; take one of {', '.join(PROFILES)}")
    if "n_ctx" not in knobs:
        knobs = {**knobs, "n_ctx": _own_context(estimator, knobs, PROFILES[profile])}
    base = server_config(estimator.model, knobs)
    config, why = _chosen(estimator, base, knobs, PROFILES[profile])
    config = _with_host_caches(estimator, config, knobs)
    scaling = _scaling(estimator.model, config, is_asked="rope_scaling" in knobs)
    prediction = estimator.predict(config)
    return Launch(
        model_path=model_path,
        spec=estimator.model,
        config=config,
        prediction=prediction,
        library=estimator.predict(_in_library(config)),
        profile=profile,
        reason=f"{profile}: {PROFILES[profile].aim}; {why}{_divided(config, knobs)}",
        card=kinds(estimator.cards_in(config).values()),
        devices=tuple(devices),
        scaling=scaling,
        context_length=_uncapped(estimator.model, config, scaling),
        speeds=speeds(estimator, config, prediction.memory),
        files=files or {},
    )


def _in_library(config: RunConfig) -> RunConfig:
    """The configuration as llama-cpp-python's Llama has it: results for a whole batch, and for
    embeddings as many sequences as fit into one."""
    config = config.with_(n_outputs_max=None)
    if not config.embeddings:
        return config
    return config.with_(n_seq_max=min(config.n_batch, MAX_SEQUENCES), kv_unified=True)


def _with_host_caches(
    estimator: Estimator, config: RunConfig, knobs: Mapping[str, Any]
) -> RunConfig:
    """`config` with caches on the host that the RAM holds, unless they were asked for."""
    if {"cache_ram_mib", "ctx_checkpoints"} & knobs.keys():
        return config
    return fitting_caches(estimator.host(config), config) or config


def _divided(config: RunConfig, knobs: Mapping[str, Any]) -> str:
    """What is said of a split that nobody asked for."""
    if not config.tensor_split or "tensor_split" in knobs:
        return ""
    shares = ",".join(f"{share:g}" for share in config.tensor_split)
    return f"; the layers are divided {shares}, by bytes"


def named_launch(
    model: str,
    gpu: CardNames,
    memory_mib: float | str | None,
    calibration: Path | None,
    said: Said,
    *,
    path: str | None = None,
    phantom: str | None = None,
    profile: str = DEFAULT_PROFILE,
) -> tuple[Launch, Estimator]:
    """The launch of a model on a card, both by name, and the estimator that it was chosen by.

    `path` is where the GGUF file is, or will be. `phantom` names phantom cards, which are the cards
    if `gpu` names none; their model may be a sparse file of its shape.
    """
    if phantom:
        gpu = gpu or phantom
    asked = asked_of(model, gpu, memory_mib, calibration, said)
    where = _path(model, path, phantom)
    knobs = {**asked.said.knobs, "n_devices": asked.config.n_devices}
    launch = choose(
        asked.estimator,
        knobs,
        model_path=where,
        profile=profile,
        devices=asked.said.devices,
        files={
            name: _phantom_projector(asked.estimator)
            if phantom and name == "mmproj" and not expanded(file).is_file()
            else _path_beside(name, file)
            for name, file in asked.said.files.items()
        },
    )
    return launch, asked.estimator


def _path_beside(name: str, given: str) -> str:
    """Where the files look for what is loaded beside the model; a stand-in for what is named and
    is no file here."""
    if name == "lora" and "," in given:
        return ",".join(_path_beside(name, each) for each in given.split(","))
    path = expanded(given)
    return str(path.absolute()) if path.is_file() or is_path(given) else f"{name.upper()}.gguf"


def _phantom_projector(estimator: Estimator) -> str:
    """A sparse file of the projector that rides along, with which a phantom card is content."""
    from oomph.models.sparse import sparse_file

    (spec,) = (rider.spec for rider in estimator.riders if isinstance(rider, Projector))
    return str(sparse_file(spec).absolute())


def _path(model: str, given: str | None, phantom: str | None) -> str:
    """Where the files look for the model: absolute, so that they start from any folder.

    MODEL_FILE stands for a file that nobody named. A phantom card is content with a sparse file of
    the model's shape.
    """
    path = expanded(given or model)
    if given is None and not (path.is_file() and path.suffix == ".gguf"):
        if phantom is None:
            return MODEL_FILE
        from oomph.models.sparse import model_path  # which needs `gguf` to write a file

        path = model_path(model)
    return str(path.absolute())


def server_config(spec: ModelSpec, knobs: Mapping[str, Any]) -> RunConfig:
    """`knobs` over llama-server's defaults, but for one slot and flash attention; RoPE scaling as
    a slot's context needs it."""
    config = Said(knobs={**ONE_SLOT, **_of_embeddings(spec, knobs), **knobs}).config(spec)
    scaling = extension(spec, slot_context(config))
    if scaling and config.rope_scaling is None:
        config = config.with_(
            rope_scaling=scaling.type,
            rope_scale=scaling.factor,
            yarn_orig_ctx=scaling.original_context_length if scaling.type == "yarn" else None,
        )
    return config


def _of_embeddings(spec: ModelSpec, knobs: Mapping[str, Any]) -> dict[str, Any]:
    """What an encoder serves nothing without, and how the file says that its vectors are pooled:
    llama-server serves scores only where it was told of them."""
    is_asked = knobs.get("embeddings", family_of(spec.arch).is_encoder)
    own = own_pooling(spec)
    return {"embeddings": True} | ({"pooling": own} if own != "none" else {}) if is_asked else {}


def _scaling(spec: ModelSpec, config: RunConfig, *, is_asked: bool) -> RopeScaling | None:
    """The RoPE scaling that the configuration has, and where it comes from."""
    if config.rope_scaling in (None, "none"):
        return None
    if not is_asked:
        return extension(spec, slot_context(config))
    return RopeScaling(
        type=config.rope_scaling or "",
        factor=config.rope_scale or 1.0,
        is_published=False,
        reason="as asked for",
        original_context_length=config.yarn_orig_ctx or spec.n_ctx_train,
    )


def _uncapped(spec: ModelSpec, config: RunConfig, scaling: RopeScaling | None) -> int | None:
    """The context_length that llama-server must be told: it takes it anew for YaRN, and for nothing
    else."""
    n_ctx = slot_context(config)
    if scaling is None:
        return uncapped_context_length(spec, n_ctx)
    padded = padded_context(n_ctx)
    return padded if scaling.type != "yarn" and padded > spec.n_ctx_train else None


def _own_context(estimator: Estimator, knobs: Mapping[str, Any], profile: Profile) -> int:
    """The context that the model has, or that its makers publish for it, as far as it surely fits
    on the card."""
    spec = estimator.model
    longest = longest_extension(spec) if profile.stretches else None
    n_ctx = max(native_context(spec), longest.n_ctx if longest and longest.is_published else 0)
    config = server_config(spec, {**knobs, "n_ctx": n_ctx})
    if not estimator.room_bytes(config):
        return n_ctx
    least, holds_split = _smallest(estimator, config, knobs, profile), "tensor_split" in knobs
    fitting, _ = longest_divided(estimator, least, SURE, limit=n_ctx, holds_split=holds_split)
    return min(fitting, n_ctx) or n_ctx


def _smallest(
    estimator: Estimator, config: RunConfig, knobs: Mapping[str, Any], profile: Profile
) -> RunConfig:
    """What takes the least of all that the profile may choose and that stays on the card."""
    kinds = (
        {}
        if {"type_k", "type_v"} & knobs.keys()
        else {"type_k": profile.kv_types[-1], "type_v": profile.kv_types[-1]}
    )
    return _in_batches(config.with_(**kinds), _ubatches(estimator, config, knobs)[-1])


def _in_batches(config: RunConfig, n_ubatch: int) -> RunConfig:
    """The configuration with micro-batches of so many tokens, which embeddings are batches of."""
    if not config.embeddings:
        return config.with_(n_ubatch=n_ubatch)
    return config.with_(n_ubatch=n_ubatch, n_batch=n_ubatch, n_outputs_max=n_ubatch)


def slot_context(config: RunConfig) -> int:
    """Tokens that one of llama-server's slots holds: all of a unified cache, else its share."""
    return max(config.n_ctx_seq, 1)


def _chosen(
    estimator: Estimator, base: RunConfig, knobs: Mapping[str, Any], profile: Profile
) -> tuple[RunConfig, str]:
    """The profile's configuration, and why."""
    if not estimator.room_bytes(base):
        return base, "without a card there is nothing to choose by, so llama.cpp's defaults stand"
    hosts = [estimator]
    if estimator.machine.ram_bytes is not None:  # what RAM lacks is told, and read from the disk
        hosts.append(estimator.whatever_host())
    for asked, probability in product(hosts, (SURE, EVEN)):
        if found := _best(asked, _tries(asked, base, knobs, profile, probability), profile):
            return found
    return _last_resort(estimator, base, knobs, profile), "nothing that it may choose fits"


def _best(
    estimator: Estimator, tries: Iterator[tuple[RunConfig | None, str]], profile: Profile
) -> tuple[RunConfig, str] | None:
    """The first that fits; the quickest instead, where that is not the favourite of a profile that
    weighs time."""
    held = ((config, why, at == 0) for at, (config, why) in enumerate(tries) if config)
    first = next(held, None)
    if first is None or first[-1] or not profile.weighs_time:
        return first and first[:2]
    timed = [
        (seconds, config, why)
        for config, why, _ in (first, *held)
        if (seconds := _seconds(estimator, config)) is not None
    ]
    if not timed:
        return first[:2]
    _, config, why = min(timed, key=lambda item: item[0])
    return config, f"{why}, predicted the quickest of what fits"


def _seconds(estimator: Estimator, config: RunConfig) -> float | None:
    """Seconds for a prompt of half the context and an answer after it; None where no speed is
    known."""
    prompt = config.with_(n_ctx=max(config.n_ctx // 2, 1))
    half = speeds(estimator, prompt, estimator.memory(prompt))
    return half.first_token_s + ANSWER / half.full.decode_tokens_per_s if half else None


def _tries(
    estimator: Estimator,
    base: RunConfig,
    knobs: Mapping[str, Any],
    profile: Profile,
    probability: float,
) -> Iterator[tuple[RunConfig | None, str]]:
    """What the profile may choose, what it likes best first, each with its reason; None for what
    does not fit with `probability`. Asked-for knobs stay as they are."""
    kinds = profile.kv_types if not {"type_k", "type_v"} & knobs.keys() else (None,)
    for kind in kinds:
        cached = base if kind is None else base.with_(type_k=kind, type_v=kind)
        said = (
            "the cache as asked"
            if kind is None
            else f"{'an' if kind == 'f16' else 'a'} {kind} cache"
        )
        larger = f", {kinds[0]} does not" if kind != kinds[0] else ""
        for n_ubatch in _ubatches(estimator, base, knobs):
            sized = _in_batches(cached, n_ubatch)
            found = divided(estimator, sized, probability, holds_split="tensor_split" in knobs)
            yield found, f"{said} and n_ubatch {n_ubatch} fit{larger}"
    if _may_offload(estimator, knobs, profile):
        least = _in_batches(cached, _ubatches(estimator, base, knobs)[-1])
        held = ALL_BUT_WHERE | knobs.keys()
        best = best_placement(estimator, least, held=held, probability=probability)
        yield (best.config, f"{said} {_moved(estimator, best)}") if best else (None, "")


def _may_offload(estimator: Estimator, knobs: Mapping[str, Any], profile: Profile) -> bool:
    """Whether layers, or experts, may stay on the host that nobody asked there."""
    may_split = estimator.model.is_moe or profile.splits_layers
    return may_split and not {"n_gpu_layers", "n_cpu_moe", "override_tensor"} & knobs.keys()


def _moved(estimator: Estimator, best: Placed) -> str:
    """What stays on the host."""
    config, n_layer = best.config, estimator.n_layer
    if estimator.model.is_moe and config.n_gpu_layers < 0:
        layers = count(n_layers_without_experts(estimator, config))
        return f"fits once the experts of {layers} layers stay in host memory"
    n_gpu_layers = config.n_gpu_layers if config.n_gpu_layers >= 0 else n_layer + 1
    layers = f"{count(n_gpu_layers)} of {count(n_layer + 1)}"
    return f"fits with {layers} layers on the {'card' if config.n_devices == 1 else 'cards'}"


def _last_resort(
    estimator: Estimator, base: RunConfig, knobs: Mapping[str, Any], profile: Profile
) -> RunConfig:
    """The least that the profile may choose, which does not fit either."""
    least = _smallest(estimator, base, knobs, profile)
    if not _may_offload(estimator, knobs, profile):
        return least
    n_layer = estimator.model.n_layer
    return least.with_(
        **({"n_cpu_moe": n_layer} if estimator.model.is_moe else {"n_gpu_layers": 0})
    )


def _ubatches(estimator: Estimator, base: RunConfig, knobs: Mapping[str, Any]) -> tuple[int, ...]:
    """Sizes of a micro-batch to choose from; where an input has to be one, as long as a slot holds,
    else by halves."""
    if "n_ubatch" in knobs:
        return (base.n_ubatch,)
    if estimator.is_one_batch(base):
        longest = slot_context(base)
        return tuple(max(longest >> n, 1) for n in range(HALVINGS))
    most = UBATCHES[0] if base.embeddings else base.n_batch
    return tuple(n for n in UBATCHES if n <= most) or (base.n_batch,)
