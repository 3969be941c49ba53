"""`oomph tasks`: items of tasks over a long context for other graders, and answers back."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oomph.cli.knob_options import takes_knobs
from oomph.cli.output import say, say_text

if TYPE_CHECKING:
    from oomph.programs.said import Said


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    group = typer.Typer(
        no_args_is_help=True,
        help="Tasks over a long context: their items out for other graders, their answers in.",
    )
    group.command("items")(items)
    group.command("grade")(takes_knobs(grade, without=("program", "n_depth"), lists=True))
    app.add_typer(group, name="tasks")


def items(
    lengths: Annotated[
        str, typer.Option(help="Tokens of prompt and answer together, by comma: 4k,16k.")
    ] = "4k",
    families: Annotated[
        str | None, typer.Option(help="Families, by comma; all if left out.")
    ] = None,
    n_items: Annotated[int, typer.Option(help="Items of each family and length.")] = 20,
    seed: Annotated[int, typer.Option(help="The sweep's measure.seed: other items.")] = 1,
    model: Annotated[
        str | None,
        typer.Option(help="The GGUF file, or demo: the items that a sweep asks of it."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The file; standard output if left out.")] = None,
) -> None:
    """Write items as JSON lines: id, task, messages, expected.

    With --model they are laid out with its vocabulary, as a sweep does, and carry the prompt in its
    chat template; its weights are not loaded. Without one a token is four characters.
    """
    from oomph.measure.tasks.handed_out import task_test, write_items

    test = task_test(lengths=lengths, families=families, n_items=n_items)
    text = write_items(test, seed=seed, model=model, out=out)
    if out is None:
        say_text(text, end="")
    else:
        say(f"{out}: {text.count(chr(10)):,} items")


def grade(
    items: Annotated[Path, typer.Argument(help="The file that `oomph tasks items` wrote.")],
    answers: Annotated[
        Path,
        typer.Argument(help="JSON lines: id and answer, or id and score; lm-eval's samples."),
    ],
    out: Annotated[Path, typer.Option(help="Results folder to add the record to.")],
    model: Annotated[str, typer.Option(help="The model's file, or its name.")],
    grader: Annotated[
        str | None, typer.Option(help="Who gave the scores, where the answers have them.")
    ] = None,
    gpu: Annotated[str | None, typer.Option(help="The card that it ran on.")] = None,
    partial: Annotated[bool, typer.Option("--partial", help="Items may lack an answer.")] = False,
    *,
    said: "Said",
) -> None:
    """Grade answers by rule, or take another grader's scores, into a record of a results folder.

    Knobs that are given name the setting that the model answered in. Of the machine the record
    holds nothing but the card that is named.
    """
    from oomph.measure.tasks.graded import Graded, add_record, one_setting

    how = Graded(
        model=model,
        knobs=one_setting(said.knobs),
        card=gpu,
        grader=grader,
        is_partial=partial,
    )
    say(add_record(items, answers, how, out=out))
