"""Options by which commands name a model, a card, a machine and a calibration."""

from pathlib import Path
from typing import Annotated

import typer

from oomph.programs.defaults import PROGRAMS

ModelArgument = Annotated[
    str,
    typer.Argument(
        help="GGUF file, https URL, hf:owner/repo/file.gguf, config.json, or a name: "
        "qwen3-30b-a3b:Q4_K_M, owner/repo:QUANT, Ollama's qwen3:8b (`oomph models` lists them)"
    ),
]
GpuOption = Annotated[
    list[str] | None,
    typer.Option(
        "--gpu",
        help="a card of `oomph gpus`, or several: 2x3090, 3090,5090 or --gpu again (NAME:MIB for "
        "another memory); the machine's own if left out",
        metavar="CARDS",
    ),
]
DeviceOption = Annotated[
    str | None,
    typer.Option(
        "--device", "-dev", help="which of the cards, in order: CUDA1,CUDA0", metavar="NAMES"
    ),
]
DraftOption = Annotated[
    str | None,
    typer.Option(
        "--spec-draft-model",
        "--model-draft",
        "-md",
        help="a model that drafts beside it: a file, or a name with its quantization",
        metavar="MODEL",
    ),
]
ProjectorOption = Annotated[
    str | None,
    typer.Option(
        "--mmproj",
        "-mm",
        help="a projector beside it: a file, a name, or f16 (bf16, q8_0) for the model's own "
        "published one",
        metavar="FILE",
    ),
]
AdapterOption = Annotated[
    list[str] | None,
    typer.Option("--lora", "--lora-scaled", help="a LoRA adapter on it: a file", metavar="FILE"),
]
GpuMemoryOption = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        help="memory of each card, as CUDA reports it: 24080 (MiB), 24GiB; 24GiB,16GiB for two",
    ),
]
FileSizeOption = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        help="size of the GGUF file that a name stands for, as 18.2GiB: its weights are fitted "
        "to it (needed for UD-Q4_K_XL, NVFP4, IQ4_KS …)",
    ),
]
CalibrationOption = Annotated[
    Path | None,
    typer.Option(
        help="coefficients that `oomph calibrate` wrote; the newest kept that match, or `none`"
    ),
]
SystemOption = Annotated[
    str | None,
    typer.Option("--os", help="linux or windows, for speed; linux if left out", show_default=False),
]
PowerLimitOption = Annotated[
    float | None, typer.Option("--power-limit", help="the card's power limit in W, for speed")
]
HostBandwidthOption = Annotated[
    str | None,
    typer.Option(
        "--host-bandwidth",
        help="RAM for what is on the host: GB/s, or DDR5-6000 (DDR4-3200x8: 8 channels)",
    ),
]


RamOption = Annotated[
    str | None,
    typer.Option(
        "--ram",
        help="the machine's RAM, as 64GiB; this machine's own where its own cards are asked about",
        metavar="SIZE",
    ),
]
ReserveOption = Annotated[
    str | None,
    typer.Option(
        "--reserve",
        help="what each card leaves to a desktop or another program, as 1GiB",
        metavar="SIZE",
    ),
]


def _language(code: str) -> str:
    from oomph.views.language import checked_language

    return checked_language(code)


LanguageOption = Annotated[
    str, typer.Option("--lang", help="en or ru; notes stay English", callback=_language)
]
ProgramOption = Annotated[
    str,
    typer.Option(
        "--as",
        help=f"whose defaults stand for what is not said: {', '.join(PROGRAMS)}",
        metavar="PROGRAM",
    ),
]
CommandOption = Annotated[
    str | None,
    typer.Option(
        "--command",
        help="a command line, as it is pasted, or - to read it from standard input; options given "
        "beside it win",
        metavar="TEXT",
    ),
]
FitOption = Annotated[
    str | None,
    typer.Option(
        "--fit",
        "-fit",
        help="what llama-server's own --fit makes of it; on where --as names it, or -ngl is auto",
        metavar="on|off",
    ),
]
FitTargetOption = Annotated[
    str | None,
    typer.Option(
        "--fit-target",
        "-fitt",
        help="MiB that --fit leaves of a card: 1024, 1024,512",
        metavar="MIB",
    ),
]
FitContextOption = Annotated[
    str | None,
    typer.Option("--fit-ctx", "-fitc", help="the shortest context that --fit makes", metavar="N"),
]
