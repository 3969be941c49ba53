"""NVIDIA cards: what CUDA reports as usable memory, and the rates a roofline needs.

`gpu("4090")` finds a card of the catalogue (`gpus.toml`) under any usual spelling; a card that is
not there is described as `name:memory MiB:compute capability:SMs`. One's own card is asked by
`oomph.measure.nvml`.
"""

import difflib
import re
import tomllib
from collections.abc import Iterable
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final

from oomph.errors import UnknownNameError
from oomph.frozen import frozen
from oomph.patterns import late_pattern
from oomph.units import MIB

_UNIFIED: Final = ("8.7", "11.0", "12.1")
"""Compute capabilities of chips whose GPU has no memory of its own: Orin, Thor, GB10."""


@frozen
class GpuSpec:
    """One card. `memory_bytes` is what CUDA reports as usable, `clock_ghz` the boost clock of the
    data sheet.

    `fp16_flops` and `int8_ops` are dense peaks per second (SMs x clock x operations). `fp16_flops`
    is the tensor cores' with FP16 accumulate, or FP32's rate where FP16 is slower; `int8_ops` is 0
    where llama.cpp has no INT8 path (compute capability 6.0 and 7.0).
    """

    name: str
    generation: str
    compute_capability: str
    sm_count: int
    clock_ghz: float
    memory_bytes: int
    bandwidth_bytes_per_s: float
    fp16_flops: float
    int8_ops: float
    power_limit_w: float
    source: str = ""

    @property
    def is_unified(self) -> bool:
        """Whether the chip has no memory of its own, but its host's (Jetson, DGX Spark)."""
        return self.compute_capability in _UNIFIED


@frozen
class _Entry:
    """A card of the catalogue with what it is found by: its names, and the memory printed on its
    box."""

    spec: GpuSpec
    nominal_gb: int
    names: tuple[str, ...]


_NOISE: Final = frozenset(
    (
        "nvidia",
        "geforce",
        "tesla",
        "gpu",
        "graphics",
        "generation",
        "blackwell",
        "workstation",
        "edition",
        "with",
        "design",
        "card",
        "corporation",
    )
)
"""Words that no two cards differ in."""
_KEPT_NAMES: Final = 1024
"""Names whose words are kept: the catalogue's, and the last that were asked for."""
_SIZE: Final = late_pattern(r"\b(\d+) ?g(?:i?b)?\b")


_COUNTED: Final = late_pattern(r"[1-9][0-9]?\s*[x×*]\s*(.+)|(.+?)\s*[x×*]\s*[1-9]", re.IGNORECASE)
_OTHER_MAKERS: Final = (
    (
        "AMD",
        late_pattern(
            r"\b(?:amd|radeon|instinct|firepro|ryzen|threadripper|strix|vega|rx ?\d{3,4}"
            r"|mi ?\d{2,3}[a-z]?|[wr][5-9]\d00|v620|\d{4} ?(?:xtx?|gre)|[678]\d0m|80[56]0s)"
        ),
    ),
    ("Apple", late_pattern(r"\b(?:apple|m[1-9](?: (?:pro|max|ultra))?|macbook|mac)\b")),
    (
        "Intel",
        late_pattern(
            r"\b(?:intel|arc|iris|gaudi|a3[18]0|a580|a7[57]0|b5[78]0|(?:pro )?b[56]0)\b"
            r"|\bxe\b"
        ),
    ),
    ("Qualcomm", late_pattern(r"\b(?:adreno|snapdragon|qualcomm)")),
)
"""Other makers' cards by the words of their names."""


@lru_cache(maxsize=_KEPT_NAMES)
def _words(name: str) -> tuple[frozenset[str], int | None]:
    """What tells cards apart in a spelling, and the memory in GB that it names
    (`RTX4060Ti-16G`)."""
    text = re.sub(r"^cuda\d+:|\(r\)|\(tm\)", " ", name.lower())
    text = re.sub(r"max-?q", "maxq", text).replace("mobile", "laptop")
    text = re.sub(r"[^a-z0-9.]+", " ", text)
    text = re.sub(r"\b([rg]tx) ?(?=\d)", r"\1 ", text)
    text = re.sub(r"\b(\d{4})(ti|super|d)", r"\1 \2 ", text)
    text = re.sub(r"\bti ?super\b", "ti super", text)
    size = _SIZE.search(text)
    words = frozenset(_SIZE.sub(" ", text).split()) - _NOISE
    return words, int(size[1]) if size else None


def _usable_mib(nominal_gb: int, *, ecc: bool) -> int:
    """What CUDA leaves of a card's memory where no report was found.

    Fitted from below to the reports of `gpus.toml`: driver and firmware hold back some 1.2 % and
    300 MiB, error correction in line 1/16 more.
    """
    nominal = nominal_gb * 1024
    return round(0.93 * nominal - 330) if ecc else round(0.988 * nominal - 300)


def _entry(capability: str, family: dict[str, Any], card: dict[str, Any]) -> _Entry:
    per_second = card["sms"] * card["ghz"] * 1e9
    reported = card.get("cuda_mib")
    memory = "memory: " + (card["seen"] if reported else "nominal less what the family withholds")
    spec = GpuSpec(
        name=card["name"],
        generation=family["generation"],
        compute_capability=capability,
        sm_count=card["sms"],
        clock_ghz=card["ghz"],
        memory_bytes=(reported or _usable_mib(card["gb"], ecc=card.get("ecc", False))) * MIB,
        bandwidth_bytes_per_s=card["gb_s"] * 1e9,
        fp16_flops=per_second * card.get("fp16_ops", family["fp16_ops"]),
        int8_ops=per_second * card.get("int8_ops", family["int8_ops"]),
        power_limit_w=card["watts"],
        source=f"{card.get('source', family['source'])}; {memory}",
    )
    names = (card["name"], *card.get("aliases", ()))
    return _Entry(spec=spec, nominal_gb=card["gb"], names=names)


@cache
def _catalogue() -> tuple[_Entry, ...]:
    return _likely(frozenset())


@lru_cache(maxsize=16)
def _likely(words: frozenset[str]) -> tuple[_Entry, ...]:
    """The cards whose names may have all the words; the lines of the others are not parsed."""
    text = Path(__file__).with_name("gpus.toml").read_text(encoding="utf-8")
    lines = (each for each in text.splitlines() if _is_other(each) or _may_have(each, words))
    families = tomllib.loads("\n".join(lines))
    return tuple(
        _entry(capability, family, card)
        for capability, family in families.items()
        for card in family["cards"]
    )


def gpu_specs() -> tuple[GpuSpec, ...]:
    """All cards of the catalogue, oldest generation first."""
    return tuple(entry.spec for entry in _catalogue())


def gpu_names() -> tuple[str, ...]:
    """The names of all cards as CUDA prints them, oldest generation first."""
    return tuple(spec.name for spec in gpu_specs())


def _is_other(line: str) -> bool:
    """Whether a line of the catalogue is no card's."""
    return not line.startswith("  { name = ")


def _may_have(name: str, words: frozenset[str]) -> bool:
    """Whether the words may all be of a name of the catalogue: taking names apart takes long."""
    letters = name.lower().replace("-", "").replace("mobile", "laptop")
    return all(word in letters for word in words)


def _matches(
    words: frozenset[str], size_gb: int | None, among: Iterable[_Entry]
) -> list[tuple[int, GpuSpec]]:
    """Cards that a spelling fits, each with the number of its words that the spelling leaves
    unsaid, fewest first."""
    found = []
    for entry in among:
        if size_gb not in (None, entry.nominal_gb):
            continue
        spellings = (_words(name)[0] for name in entry.names if _may_have(name, words))
        unsaid = [len(spelling - words) for spelling in spellings if words and words <= spelling]
        if unsaid:
            found.append((min(unsaid), entry.spec))
    return sorted(found, key=lambda match: match[0])


def gpu(name: str) -> GpuSpec:
    """The card of that name: `"NVIDIA GeForce RTX 4090"`, `"RTX 4090"`, `"4090"`,
    `"a100-sxm4-80gb"`.

    A bare name is the desktop card; of versions that differ in memory only, the usual one (`"3060"`
    has 12 GB, `"3060 8GB"` the other). `"name:memory MiB:compute capability:SMs"` describes a card
    that the catalogue lacks. UnknownNameError lists the nearest names, or the cards that a short
    name could mean.
    """
    if name.count(":") == 3:
        return _custom(name)
    words, size_gb = _words(name)
    for entry in _likely(words):
        if entry.spec.name.lower() == name.strip().lower():
            return entry.spec
    if _several(name):
        raise UnknownNameError(
            f"{name[:80]!r} names several cards, and this is about one; name one"
        )
    found = _matches(words, size_gb, _likely(words)) or _run_together(name)
    if not found and (maker := other_maker(name)):
        raise UnknownNameError(
            f"{name!r} is by {maker}, and the catalogue has NVIDIA's cards only; leave it out and "
            "give its memory (--gpu-mem 24GiB): memory is then answered as llama.cpp takes it on "
            "CUDA, speed is not"
        )
    if not found:
        raise UnknownNameError(
            f"no card {name!r} is known; near it are {_nearest(name)} (`oomph gpus` lists all, or "
            "describe it as NAME:MEMORY_MIB:COMPUTE_CAPABILITY:SMS)"
        )
    unsaid, best = found[0]
    rivals = [
        spec
        for other, spec in found
        if other == unsaid and _words(spec.name)[0] != _words(best.name)[0]
    ]
    if unsaid and rivals:
        raise UnknownNameError(
            f"{name!r} could be {' or '.join(s.name for s in (best, *rivals))}; name one in full"
        )
    return best


def other_maker(name: str) -> str | None:
    """Who makes a card that is no NVIDIA's, None where its name does not tell."""
    text = re.sub(r"[^a-z0-9]+", " ", name.lower())
    return next((maker for maker, pattern in _OTHER_MAKERS if pattern.search(text)), None)


def _several(name: str) -> bool:
    """Whether it is a list of cards, or a card with a number (`3090,3090`, `2x 3090`)."""
    parts = [part for part in re.split(r"[,;+&]", name) if part.strip()]
    if len(parts) == 1:
        match = _COUNTED.fullmatch(name.strip())
        return bool(match and _matches(*_words(match[1] or match[2]), _catalogue()))
    return bool(parts) and all(_matches(*_words(part), _catalogue()) for part in parts)


def _run_together(name: str) -> list[tuple[int, GpuSpec]]:
    """The one card whose name this is but for separators (`RTXA6000`, `pro6000`)."""
    wanted = _squeezed(name)
    found = [
        entry.spec for entry in _catalogue() if wanted and wanted in map(_squeezed, entry.names)
    ]
    return [(0, found[0])] if len(found) == 1 else []


@lru_cache(maxsize=_KEPT_NAMES)
def _squeezed(name: str) -> str:
    """A name's letters and digits, without what no two cards differ in."""
    noise = "|".join(sorted((*_NOISE, "rtx", "gtx"), key=len, reverse=True))
    return re.sub(noise, "", re.sub(r"[^a-z0-9]", "", name.lower()))


def _nearest(name: str) -> str:
    """The three names that look most alike, by the words that count."""
    by_words = {" ".join(sorted(_words(known)[0])): known for known in gpu_names()}
    near = difflib.get_close_matches(" ".join(sorted(_words(name)[0])), by_words, n=3, cutoff=0.0)
    return ", ".join(by_words[key] for key in near)


def _custom(text: str) -> GpuSpec:
    """`name:memory MiB:compute capability:SMs`; clock and bandwidth per SM of the catalogue's
    nearest card."""
    name, memory, capability, sms = (part.strip() for part in text.split(":"))
    try:
        memory_mib, sm_count = int(memory), int(sms)
    except ValueError:
        memory_mib = sm_count = 0
    family = [spec for spec in gpu_specs() if spec.compute_capability == capability]
    if not name or memory_mib < 1 or sm_count < 1 or not family:
        known = ", ".join(dict.fromkeys(spec.compute_capability for spec in gpu_specs()))
        raise UnknownNameError(
            f"{text!r} is no card: NAME:MEMORY_MIB:COMPUTE_CAPABILITY:SMS has two whole numbers "
            f"of at least 1 and a compute capability of {known}"
        )
    model = min(family, key=lambda spec: abs(spec.sm_count - sm_count))
    scale = sm_count / model.sm_count
    return replace(
        model,
        name=name,
        sm_count=sm_count,
        memory_bytes=memory_mib * MIB,
        bandwidth_bytes_per_s=model.bandwidth_bytes_per_s * scale,
        fp16_flops=model.fp16_flops * scale,
        int8_ops=model.int8_ops * scale,
        power_limit_w=model.power_limit_w * scale,
        source=f"described by hand; the rest scaled by SMs from {model.name}",
    )
