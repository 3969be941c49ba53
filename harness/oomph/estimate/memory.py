"""Where a configuration's memory goes, device by device.

Everything but the compute buffers is a plain sum over tensors, as llama.cpp 0.5.0 allocates them
(llama-model.cpp, llama-kv-cache.cpp, llama-memory-recurrent.cpp, llama-context.cpp); the compute
buffers are replayed (`compute`). Weights on the CPU are the bytes that are needed there, of which a
memory-mapped file holds every one.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Final, Self

from oomph.architectures.adapter import AdapterSpec
from oomph.architectures.families import family_of
from oomph.architectures.spec import ModelSpec
from oomph.cards import Card
from oomph.config import MAX_SEQUENCES, RunConfig
from oomph.errors import ModelFileError
from oomph.estimate.backends import MATRIX_ROW_PADDING, WITHOUT_KERNEL, alignment, scans
from oomph.estimate.buffers import ComputeBuffers, Setup
from oomph.estimate.build import LATEST, Build
from oomph.estimate.compute import ComputeModel
from oomph.estimate.graph.attention import ROTATION_STEP
from oomph.estimate.graph.compressed import compressor_states
from oomph.estimate.graph.hparams import (
    Hparams,
    resolve_head,
    resolve_hparams,
    with_read_layers,
)
from oomph.estimate.graph.hyper import HYPER_OPS
from oomph.estimate.graph.placement import (
    CPU,
    META,
    Placement,
    is_loaded,
    loaded_for,
    placing_knobs,
)
from oomph.estimate.graph.pooling import averages, has_classifier, resolve_pooling
from oomph.estimate.graph.sizes import CacheTypes, Sizes, resolve_sizes
from oomph.estimate.graph.tensor import pad
from oomph.estimate.inputs import result_bytes
from oomph.estimate.prediction import DeviceMemory, MemoryEstimate, Refused, is_card
from oomph.estimate.replayed import ReplayStore
from oomph.estimate.trust import Architecture, Trust
from oomph.gguf.ggml_types import QuantType, quant
from oomph.gguf.header import TensorInfo
from oomph.speculation import READING
from oomph.units import mib

if TYPE_CHECKING:
    from oomph.estimate.graph.slices import Slices

_BY_LAYER: Final = ("rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight")
"""Tensors outside the layers that every layer needs: one copy on each device that has layers."""

SCANNING: Final = ("mamba", "mamba2", "mamba_by_head")
"""Recurrences whose `ssm_a` is of a selective scan."""
CELL_BYTES: Final = 12
"""What a cell's place and sequence take where a state is written (state_write_meta)."""

Bytes = Counter[str]
"""Bytes by device."""


class MemoryModel:
    """The memory of one model on a machine's cards, under any configuration; sums and replays are
    kept from one to the next. `is_dry_run` as for `ComputeModel`. With `is_head` it is that of the
    model's multi-token-prediction head alone, in a context of its own. `adapters`, and tensors that
    another model has `lent`, are counted in the compute buffers, their own weights are not. `read`
    are the layers whose inputs a drafter reads, for the kinds of drafting that are given so. What
    is replayed is kept in the `store`."""

    def __init__(  # noqa: PLR0913 - each is of another caller
        self,
        model: ModelSpec,
        build: Build = LATEST,
        cards: Sequence[Card] = (),
        *,
        is_dry_run: bool = False,
        is_head: bool = False,
        adapters: Sequence[AdapterSpec] = (),
        lent: Mapping[str, TensorInfo] | None = None,
        read: Sequence[int] = (),
        like: "MemoryModel | None" = None,
        store: ReplayStore | None = None,
    ) -> None:
        self.model, self.cards, self._is_head = model, tuple(cards), is_head
        self._build = build
        self._read = tuple(read)
        whole = replace(model, tensors={**model.tensors, **lent}) if lent else model
        graphs: ComputeModel | None = None if like is None else like._compute
        self._compute: ComputeModel = ComputeModel(
            whole, build, is_dry_run=is_dry_run, adapters=adapters, like=graphs, store=store
        )
        self._on_host = frozenset(_kept_on_host(model))
        self._hparams: dict[int | None, Hparams] = {}
        self._weights: dict[object, Bytes] = {}
        self._homes: dict[object, WeightHomes] = {}
        self._cache_rows: dict[object, Counter[CacheRow]] = {}
        self._states: dict[object, Bytes] = {}
        self._setup: tuple[RunConfig, Setup] | None = None
        self._placements: dict[object, Placement] = {}
        self._counted: dict[object, Mapping[str, int]] = {}
        if like is not None and self._is_another_quantization_of(like):
            self._homes, self._cache_rows, self._states = (
                like._homes,
                like._cache_rows,
                like._states,
            )

    def _is_another_quantization_of(self, other: "MemoryModel") -> bool:
        """Whether the two differ in weights' types alone."""
        is_same_part = self._is_head == other._is_head
        return is_same_part and self._compute.structure == other._compute.structure

    def on(self, cards: Sequence[Card]) -> Self:
        """The same model on other cards; what was computed is shared."""
        other = copy(self)
        other.cards, other._setup, other._placements = tuple(cards), None, {}
        return other

    @property
    def is_known(self) -> bool:
        """Whether the architecture's graph is declared, so that the compute buffers are
        exact."""
        return family_of(self.model.arch).has_known_graph

    def hparams(self, n_expert_used: int | None = None) -> Hparams:
        """The model's numbers with this many experts used; ModelFileError where they cannot be."""
        if n_expert_used not in self._hparams:
            self._hparams[n_expert_used] = (
                resolve_head(self.model, n_expert_used=n_expert_used)
                if self._is_head
                else resolve_hparams(self.model, n_expert_used=n_expert_used)
            )
        return self._hparams[n_expert_used]

    def estimate(self, config: RunConfig) -> MemoryEstimate:
        """Bytes of every device under `config`, without what llama.cpp prints nowhere
        (overhead)."""
        setup = self.setup(config)
        compute = self.compute_by_device(setup)
        refusals = (sentence for _, sentence in self.refusals(config, setup))
        warnings = [*self._general_warnings(config), *refusals, *self._growth(setup, compute)]
        if self.is_known and not compute.is_exact:
            warnings.append(
                "its graph is larger than any published model's and is not replayed: compute "
                "buffers follow the general rule"
            )
        return self._assemble(setup, compute, tuple(warnings))

    def setup(self, config: RunConfig) -> Setup:
        """`config` resolved for this model, flash attention decided; the last one is kept, for it
        is asked again."""
        if self._setup is None or self._setup[0] != config:
            self._setup = config, self.resolved(config)
        return self._setup[1]

    def resolved(self, config: RunConfig, placement: Placement | None = None) -> Setup:
        """The same, by a placement that stands already."""
        hparams = self.hparams(config.n_expert_used if self.model.is_moe else None)
        if self._read and any(kind in READING for kind in config.spec_kinds):
            hparams = with_read_layers(hparams, self._read)
        rule = hparams.family.graph.fuses_attention
        fused = config.flash_attn != "off" and rule != "never"
        cache = CacheTypes(
            k=quant(config.type_k), v=quant(config.type_v), flash_attn=fused, transposes_v=not fused
        )
        placement = placement or self.placement(config)
        is_cut = placement.is_cut
        setup = Setup(
            hparams=hparams,
            placement=placement,
            sizes=resolve_sizes(config, hparams),
            cache=cache,
            pooling=resolve_pooling(config, self.model),
            op_offload=config.op_offload and not is_cut,  # the Meta device has no offload_op
            slices=self._slices(hparams, config, placement),
        )
        is_open = (
            config.flash_attn == "auto" and fused and not cache.v.is_quantized and not is_cut
        )  # a quantized V and a tensor split turn auto into on
        if is_open and not self._compute.fuses(setup, "FLASH_ATTN_EXT"):
            setup = replace(setup, cache=replace(cache, flash_attn=False))
        if hparams.family.graph.layer.startswith("hyper"):
            for op in HYPER_OPS:
                if not self._compute.fuses(setup, op):
                    setup = replace(setup, unfused=setup.unfused | {op})
        return setup

    def _slices(self, hparams: Hparams, config: RunConfig, placement: Placement) -> "Slices | None":
        """How tensors are cut among the cards, where they are."""
        if not placement.is_cut:
            return None
        from oomph.estimate.graph.slices import Slices

        return Slices(self.model, hparams, len(placement.cards), config.tensor_split)

    def placement(self, config: RunConfig) -> Placement:
        """Where the model lies; one object for all configurations that place it so."""
        knobs = placing_knobs(config)
        if knobs not in self._placements:
            n_layer_all = self.hparams().n_layer_all
            self._placements[knobs] = Placement(config, n_layer_all, self.cards, self._on_host)
        return self._placements[knobs]

    def compute(self, setup: Setup) -> ComputeBuffers:
        """The compute buffers by backend: those that llama.cpp has counted, or the replayed."""
        counted = self._counted.get(_count_key(setup)) if self._counted else None
        if counted is not None:
            return ComputeBuffers(bytes=dict(counted), live_bytes=dict(counted))
        return self._compute.buffers(setup)

    def take_count(self, config: RunConfig, by_device: Mapping[str, int]) -> None:
        """Let llama.cpp's own count of the compute buffers stand for the replay under `config`."""
        setup = self.setup(config)
        host = setup.placement.host
        self._counted[_count_key(setup)] = {
            CPU if name == host else name: n_bytes for name, n_bytes in by_device.items()
        }

    def compute_by_device(self, setup: Setup) -> ComputeBuffers:
        """The same by the devices that hold them: the CPU backend computes in pinned memory where
        there is a card."""
        found, host = self.compute(setup), setup.placement.host
        return replace(
            found,
            bytes={host if name == CPU else name: n for name, n in found.bytes.items()},
            live_bytes={host if name == CPU else name: n for name, n in found.live_bytes.items()},
        )

    def fixed(self, setup: Setup) -> dict[str, Bytes]:
        """Everything but compute buffers, by component: what grows with the context grows in
        proportion."""
        return {
            "weights_bytes": self._weight_bytes(setup),
            "kv_cache_bytes": self._cache_bytes(setup),
            "recurrent_bytes": self._recurrent_bytes(setup),
            "output_bytes": Counter(
                {_logits_home(setup.placement): result_bytes(self.model, setup, setup.sizes.n_seqs)}
            ),
        }

    def _assemble(
        self, setup: Setup, compute: ComputeBuffers, warnings: tuple[str, ...]
    ) -> MemoryEstimate:
        components = self.fixed(setup)
        components["compute_bytes"] = Counter(compute.bytes)
        names = dict.fromkeys((*setup.placement.cards, setup.placement.host, CPU))
        devices = {
            name: DeviceMemory(
                **{component: by_device[name] for component, by_device in components.items()}
            )
            for name in names
        }
        architecture = self._architecture(setup, compute)
        return MemoryEstimate(
            devices=devices,
            exact_compute=architecture == "exact",
            trust=Trust(architecture=architecture, is_counted=self._is_counted(setup)),
            warnings=warnings,
        )

    def _is_counted(self, setup: Setup) -> bool:
        return bool(self._counted) and _count_key(setup) in self._counted

    def _architecture(self, setup: Setup, compute: ComputeBuffers) -> Architecture:
        """What the compute buffers rest on."""
        if not compute.is_exact:
            return "general rule"
        return "exact" if self.is_known or self._is_counted(setup) else "composed"

    def _general_warnings(self, config: RunConfig) -> Iterator[str]:
        if not self.is_known:
            yield (
                f"architecture {self.model.arch!r} is not known: its compute buffers follow the "
                "general transformer rule, and its KV cache the usual metadata"
            )
        if config.split_mode == "row" and config.n_devices > 1 and not self._build.refuses_rows:
            yield (
                "split_mode row is counted as layer: what each card takes differs, for llama.cpp "
                "gives each of them rows of every matrix"
            )
        if not (self.hparams().reads_cache or config.embeddings):
            yield (
                f"{self.model.name} is an encoder, which makes embeddings and no text: without "
                "--embedding llama-server loads it and answers neither"
            )
        if config.embeddings and config.pooling == "rank" and not has_classifier(self.model):
            yield (
                "pooling rank without a classifier's head in the file: llama.cpp loads it, and its "
                "scores are the first number of each embedding, which mean nothing"
            )
        if self.hparams().family.is_crossed:
            yield (
                "llama-server aborts on it once it is loaded (llama_encode must be called first): "
                "the figures are of programs that run its encoder"
            )
        if config.n_expert_used is not None and not self.model.is_moe:
            yield (
                f"n_expert_used changes nothing: {self.model.name} is a dense model without experts"
            )

    def _growth(self, setup: Setup, at_load: ComputeBuffers) -> Iterator[str]:
        """What a graph of an empty cache does not have: blocks of positions grow with it."""
        if setup.hparams.family.graph.attention != "position_blocks" or not at_load.is_exact:
            return
        whole = replace(setup, sizes=replace(setup.sizes, n_positions=setup.sizes.cells))
        full = self.compute_by_device(whole)
        grown = max(full.bytes[name] - at_load.bytes.get(name, 0) for name in full.bytes)
        if grown > 0:
            yield (
                f"its sparse attention takes up to {mib(grown)} more once the context is full: "
                "llama.cpp reserves its compute buffers for an empty one"
            )

    def checkpoint_bytes(self, config: RunConfig) -> int:
        """The largest checkpoint of a slot that llama-server makes under `config`."""
        setup = self.setup(config)
        return checkpoint_bytes(setup, setup.sizes.cells, swa_full=config.swa_full)

    def aborts(self, config: RunConfig) -> bool:
        """Whether llama.cpp aborts while it builds the graph: too many active experts."""
        return self.model.is_moe and self._compute.graph_surplus(self.setup(config)) > 0

    def refusals(self, config: RunConfig, setup: Setup) -> Iterator[tuple[Refused, str]]:
        """Why llama.cpp would not run this configuration, one sentence per reason, in the order in
        which it would find them."""
        cache = setup.cache
        yield from (("split_mode", sentence) for sentence in self._split_refusals(config, setup))
        if config.n_seq_max > MAX_SEQUENCES:
            yield (
                "sequences",
                f"llama.cpp refuses n_seq_max {config.n_seq_max}: {MAX_SEQUENCES} is the most",
            )
        if setup.hparams.family.is_crossed and setup.sizes.n_stream > 1:
            yield (
                "streams",
                f"llama.cpp aborts with {setup.sizes.n_stream} caches apart on architecture "
                f"{self.model.arch} (GGML_ASSERT(ggml_can_repeat(b, a)) failed); set kv_unified",
            )
        if cache.v.is_quantized and not cache.flash_attn:
            yield (
                "quantized_v",
                f"llama.cpp refuses type_v {config.type_v} without flash attention; set "
                "flash_attn on, or type_v f16",
            )
        if setup.hparams.family.graph.fuses_attention == "aborts" and config.flash_attn != "off":
            yield (
                "flash_attn",
                f"llama.cpp aborts with flash attention on architecture {self.model.arch} "
                "(GGML_ASSERT(b->ne[1] == c->ne[0]) failed); set flash_attn off",
            )
        if setup.hparams.is_mla and cache.k != cache.v:
            yield (
                "latent_types",
                f"llama.cpp refuses type_k {config.type_k} with type_v {config.type_v} for latent "
                "attention",
            )
        if self.aborts(config):
            yield (
                "experts",
                f"llama.cpp aborts with {setup.hparams.n_expert_used} active experts "
                "(GGML_ASSERT(obj_new) failed): its graph has no room for so many; use fewer",
            )
        sizes = setup.sizes
        if (
            setup.pooling
            and averages(setup.pooling, self.model)
            and (sizes.n_outputs != sizes.n_tokens)
        ):
            yield (
                "pooling",
                f"llama.cpp aborts with mean pooling (GGML_ASSERT(ggml_can_mul_mat(a, b)) failed): "
                f"its graph has {sizes.n_tokens} tokens and {sizes.n_outputs} results; make "
                "n_ubatch a multiple of n_seq_max, and n_outputs_max no less",
            )

    def _split_refusals(self, config: RunConfig, setup: Setup) -> Iterator[str]:
        """Why llama.cpp would not divide the model among the cards so, seen in its programs."""
        placement = setup.placement
        if config.split_mode == "row" and placement.cards and self._build.refuses_rows:
            yield (
                "llama.cpp refuses split_mode row on CUDA cards, for which it has no split buffers "
                "any more; use tensor or layer"
            )
        if not placement.is_cut or setup.slices is None:
            return
        from oomph.estimate.graph.slices import REFUSED

        if self.model.arch in REFUSED:
            yield (
                f"llama.cpp refuses split_mode tensor for architecture {self.model.arch}; use layer"
            )
        if not setup.cache.flash_attn:
            yield ("llama.cpp refuses split_mode tensor without flash attention; set flash_attn on")
        on_cards = (il for il in range(setup.hparams.n_layer) if placement.layer(il) == META)
        if not config.offload_kqv and not all(map(setup.slices.runs_beside_cache, on_cards)):
            yield (
                "llama.cpp aborts with split_mode tensor and this model's KV cache on the host; "
                "leave it on the cards"
            )
        if (il := setup.slices.torn_layer) is not None:
            owner = setup.hparams.layers[il].cache_layer
            yield (
                f"llama.cpp aborts with split_mode tensor on these cards: layer {il} reads the KV "
                f"cache of layer {owner}, which is cut otherwise; use layer"
            )
        if self._build.rotates_cache and _turns_one_head(setup):
            yield (
                "llama.cpp aborts with split_mode tensor on a quantized cache of one KV head, "
                "which it turns and cannot cut; use f16 caches, or layer"
            )
        for fault in setup.slices.faults(setup.placement):
            yield f"llama.cpp aborts with split_mode tensor on these cards: {fault}; use layer"
        if not self._compute.fuses(setup, "FLASH_ATTN_EXT") and config.offload_kqv:
            yield (
                "llama.cpp aborts with split_mode tensor on this model: its flash attention has no "
                "kernel for heads this wide, and runs on the host; use layer"
            )

    def _cache_bytes(self, setup: Setup) -> Bytes:
        key = (setup.placement.key, setup.cache)  # the layers' widths are the model's
        if key not in self._cache_rows:
            self._cache_rows[key] = cache_rows(setup)
        return _bytes_of_rows(self._cache_rows[key], setup.sizes)

    def _recurrent_bytes(self, setup: Setup) -> Bytes:
        sizes = setup.sizes
        key = (setup.placement.key, sizes.n_seqs, sizes.n_states, sizes.n_stream)
        if key not in self._states:
            self._states[key] = recurrent_bytes(setup)
        return self._states[key]

    def _weight_bytes(self, setup: Setup) -> Bytes:
        key = setup.placement.key
        if key not in self._weights:
            if key not in self._homes:
                self._homes[key] = weight_homes(self.model, setup)
            self._weights[key] = bytes_at_homes(self.model, setup, self._homes[key])
        return self._weights[key]


def _turns_one_head(setup: Setup) -> bool:
    """Whether a layer of one KV head has a cache that is turned before it is quantized."""
    return any(
        (setup.cache.k.is_quantized and layer.head_k % ROTATION_STEP == 0)
        or (setup.cache.v.is_quantized and layer.head_v % ROTATION_STEP == 0)
        for layer in setup.hparams.layers
        if layer.has_attention and layer.n_head_kv == 1 and not setup.hparams.is_mla
    )


def _kept_on_host(model: ModelSpec) -> Iterator[str]:
    """The weights that llama.cpp keeps on the host for want of a kernel: of types that CUDA
    multiplies no matrix of, and what steers a scan that it does not run (weight_buft_supported)."""
    scanning = family_of(model.arch).recurrence.part in SCANNING
    for name, info in model.tensors.items():
        if info.quant.name in WITHOUT_KERNEL:
            yield name
        elif scanning and name.endswith(".ssm_a"):
            decay, heads, *_ = (*info.ne, 1)
            state = model.integer("ssm.state_size") if decay == 1 else decay
            if not scans(decay, state, model.integer("ssm.inner_size") // heads, heads):
                yield name


def _logits_home(placement: Placement) -> str:
    """Where the logits are kept for the caller: pinned where a card computes them
    (llama_context::output_reserve)."""
    return placement.host if is_card(placement.output) else CPU


def allocated_bytes(info: TensorInfo, device: str) -> int:
    """Bytes that a tensor takes in a device's buffer: CUDA pads a quantized tensor's last row,
    every buffer aligns."""
    return padded_bytes(info.n_bytes, info.quant, info.ne[0], device)


def padded_bytes(n_bytes: int, kind: QuantType, width: int, device: str) -> int:
    """`n_bytes` of rows of `width` elements with the device's row padding and alignment."""
    if is_card(device) and kind.is_quantized and width % MATRIX_ROW_PADDING:
        n_bytes += kind.row_bytes(MATRIX_ROW_PADDING - width % MATRIX_ROW_PADDING)
    return pad(n_bytes, alignment(device))


def weight_bytes(model: ModelSpec, setup: Setup) -> Bytes:
    """Bytes of the tensors that llama.cpp loads, by device: of the layers that run, and with the
    trunk what is in no layer."""
    return bytes_at_homes(model, setup, weight_homes(model, setup))


WeightHomes = Sequence[tuple[str, tuple[str, ...]]]
"""Each tensor that llama.cpp loads, with the devices that hold it."""


def weight_homes(model: ModelSpec, setup: Setup) -> WeightHomes:
    """Where the weights lie: the same in every quantization that leaves the same on the host."""
    hparams, placement = setup.hparams, setup.placement
    return [
        (name, tuple(homes(name, model, hparams, placement)))
        for name in model.tensors
        if is_loaded(name, hparams)
    ]


def bytes_at_homes(model: ModelSpec, setup: Setup, found: WeightHomes) -> Bytes:
    """Bytes of the weights by device, which lie as was `found`."""
    total: Bytes = Counter()
    known: dict[object, int] = {}
    for name, devices in found:
        info = model.tensors[name]
        for device in devices:
            if device == META and setup.slices:
                for card, ne in zip(setup.placement.cards, setup.slices.tensor(name), strict=True):
                    n_bytes = info.quant.row_bytes(ne[0]) * prod(ne[1:])
                    total[card] += padded_bytes(n_bytes, info.quant, ne[0], card)
            else:
                key = info.quant.name, info.ne, device
                if key not in known:
                    known[key] = allocated_bytes(info, device)
                total[device] += known[key]
    total.update(setup.placement.expert_caches(_cards_without_experts(model, setup)))
    return total


def _cards_without_experts(model: ModelSpec, setup: Setup) -> set[str]:
    """The cards of layers whose experts lie on the host."""
    placement = setup.placement
    return {
        placement.layer(il)
        for il in setup.hparams.running
        if (name := f"blk.{il}.ffn_down_exps.weight") in model.tensors
        and is_card(placement.layer(il))
        and placement.weight(name) == CPU
    }


def homes(name: str, model: ModelSpec, hparams: Hparams, placement: Placement) -> set[str]:
    """The devices that hold a tensor; tied embeddings are the output head, too, where that is."""
    if name.startswith("blk."):
        return {placement.weight(name)}
    if name in _BY_LAYER:
        full_only = hparams.family.rope.factors == "full"
        return {
            placement.weight(name, il)
            for il, layer in enumerate(hparams.layers)
            if not (full_only and layer.is_swa)
        }
    found = {placement.weight(name, loaded_for(name, hparams.family.output_norm))}
    is_tied = (
        hparams.family.head not in ("none", "embedding", "lent")
        and "output.weight" not in model.tensors
    )
    if name == "token_embd.weight" and is_tied:
        found.add(placement.output)
    return found


CacheRow = tuple[bool, int, QuantType, int, str]
"""What a layer keeps of a cell: whether of a sliding window's cells, the tokens that a compressed
cell stands for or 0, its type and width, the device that holds it."""


def kv_cache_bytes(setup: Setup) -> Bytes:
    """Bytes of the KV cache by device: cells x rows of K and V for each layer that owns one.

    MLA keeps K only; an indexer (sparse attention) keeps its own K besides.
    """
    return _bytes_of_rows(cache_rows(setup), setup.sizes)


def cache_rows(setup: Setup) -> Counter[CacheRow]:
    """The rows that a cell has in all layers, equal ones counted: what does not change with the
    context."""
    return Counter(_layer_rows(setup))


def _layer_rows(setup: Setup) -> Iterator[CacheRow]:
    """Each layer's rows of a cell."""
    hparams, cache = setup.hparams, setup.cache
    yield from _rows_beside(setup)
    for is_swa in (False, True):
        for il in hparams.cache_owners(is_swa=is_swa):
            layer = hparams.layers[il]
            v_width = hparams.v_width_max if cache.transposes_v else layer.v_width
            v_width = v_width if hparams.keeps_v else 0
            yield from _rows_of(setup, il, layer.k_width, v_width, is_swa=is_swa)


def _rows_of(
    setup: Setup, il: int, k_width: int, v_width: int, *, is_swa: bool
) -> Iterator[CacheRow]:
    """The rows of K and V that a block keeps of a cell."""
    for name, kind, width in (
        ("cache_k", setup.cache.k, k_width),
        ("cache_v", setup.cache.v, v_width),
    ):
        for device, share in _holders(setup, name, il, width):
            yield is_swa, 0, kind, share, device


def _rows_beside(setup: Setup) -> Iterator[CacheRow]:
    """Rows of the caches beside a layer's own: an indexer's keys, what stands for many tokens, and
    those of no layer."""
    hparams, kind = setup.hparams, setup.cache.k
    for il, layer in enumerate(hparams.layers):
        for device, width in _holders(setup, "cache_idx_v", il, layer.index_v_width):
            yield False, 0, setup.cache.v, width, device
        ratio = layer.compress_ratio
        for name, wanted in (
            ("cache_idx_k", layer.index_width),
            ("cache_k", layer.k_width if ratio else 0),
        ):
            for device, width in _holders(setup, name, il, wanted):
                yield False, ratio, kind, width, device
    yield from _rows_past_layers(setup)


def _rows_past_layers(setup: Setup) -> Iterator[CacheRow]:
    """Rows of the caches of blocks past the layers that run: of a router, or of none that runs."""
    hparams = setup.hparams
    if router := hparams.router:
        v_width = hparams.v_width_max if setup.cache.transposes_v else router.v_width
        yield from _rows_of(setup, hparams.n_layer, router.k_width, v_width, is_swa=False)
    if hparams.family.caches_idle and not hparams.is_head:
        k_width, v_width = hparams.latent_width, hparams.v_width_max if hparams.keeps_v else 0
        for il in range(hparams.n_layer, hparams.n_layer_all):
            yield from _rows_of(setup, il, k_width, v_width, is_swa=hparams.has_swa)


def _holders(setup: Setup, name: str, il: int, width: int) -> Iterator[tuple[str, int]]:
    """The devices that hold layer `il`'s cache or state `name`, and the elements that each has of
    a row of `width`."""
    home = setup.placement.cache(il)
    if not width:
        return
    if home == META and setup.slices:
        widths = setup.slices.cache(name, il, width)
        yield from (each for each in zip(setup.placement.cards, widths, strict=True) if each[1])
    else:
        yield home, width


def _bytes_of_rows(rows: Counter[CacheRow], sizes: Sizes) -> Bytes:
    """Each layer's rows of all cells are a tensor of their own, padded as one."""
    total: Bytes = Counter()
    for row, layers in rows.items():
        total[row[-1]] += layers * row_bytes(row, sizes)
    return total


def row_bytes(row: CacheRow, sizes: Sizes) -> int:
    """Bytes of a layer's rows of all cells, padded as the tensor that they are."""
    is_swa, ratio, kind, width, device = row
    cells = sizes.cells_swa if is_swa else sizes.cells
    cells = (sizes.compressed(ratio) if ratio else cells) * sizes.n_stream
    return padded_bytes(kind.row_bytes(width) * cells, kind, width, device)


def _count_key(setup: Setup) -> object:
    """What llama.cpp's count of compute buffers is of."""
    return (
        setup.placement.key,
        setup.sizes,
        setup.cache,
        setup.pooling,
        setup.hparams.n_expert_used,
    )


def recurrent_bytes(setup: Setup) -> Bytes:
    """Bytes of the recurrent layers' states by device: F32, one row of each a sequence, and as many
    again for each drafted token that it may have to go back."""
    total: Bytes = Counter()
    for device, n_bytes in _layer_states(setup):
        total[device] += n_bytes
    return total


def checkpoint_bytes(setup: Setup, n_tokens: int, *, swa_full: bool) -> int:
    """Bytes that llama-server copies of a slot with so many tokens for a checkpoint; 0 for a model
    that can be rolled back without.

    Of a window its last cells, of a recurrent layer one state, however many a draft keeps
    (server-context.cpp, create_checkpoint; llama_kv_cache::state_write,
    llama_memory_recurrent::state_write).
    """
    hparams, ssm = setup.hparams, setup.hparams.ssm
    n_recurrent = sum(layer.is_recurrent for layer in hparams.layers)
    states = 4 * n_recurrent * (ssm.conv_state + ssm.ssm_state) if ssm else 0
    if swa_full or not hparams.has_swa:
        return states
    cells = min(n_tokens, hparams.n_swa)
    rows = (row for row in _layer_rows(setup) if row[0])
    widths = sum(kind.row_bytes(width) for _, _, kind, width, _ in rows)
    return states + cells * (CELL_BYTES + widths)


def _layer_states(setup: Setup) -> Iterator[tuple[str, int]]:
    """Each recurrent layer's bytes, by the device where they lie."""
    hparams = setup.hparams
    for il, layer in enumerate(hparams.layers):
        if il in hparams.ngram_layers:
            device, width = setup.placement.cache(il), hparams.ngram_state
            n_bytes = 4 * width * setup.sizes.n_seqs * setup.sizes.n_states
            yield device, pad(n_bytes, alignment(device))
        for states in compressor_states(layer):
            n_bytes = 4 * prod(states.ne) * setup.sizes.n_stream * setup.sizes.n_states
            for device, share in _holders(setup, "dsv4_state", il, n_bytes):
                yield from ((device, pad(share, alignment(device))) for _ in ("kv", "score"))
        if layer.is_recurrent:
            if hparams.ssm is None:
                raise ModelFileError(
                    f"layer {il} is recurrent, and the file has no ssm.* metadata; is it complete?"
                )
            rows = setup.sizes.n_seqs * setup.sizes.n_states
            for name, width in (
                ("cache_r", hparams.ssm.conv_state),
                ("cache_s", hparams.ssm.ssm_state),
            ):
                for device, share in _holders(setup, name, il, width):
                    yield device, pad(4 * share * rows, alignment(device))
