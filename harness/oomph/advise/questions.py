"""The question of a user, asked by name: can I run it?"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oomph.advise.answer import Answer, answer_of
from oomph.advise.context_questions import Records, records_of
from oomph.advise.own_fit import own_fit
from oomph.advise.placement.parts import Goal, checked_goal
from oomph.architectures.file_size import sized
from oomph.calibrate.subject import Asked, asked_of
from oomph.cards import CardNames
from oomph.estimate.machine import Machine
from oomph.programs.said import DEFAULT_PROGRAM, Said, checked_program

if TYPE_CHECKING:
    from oomph.records.schema import Record


def answer(
    model: str,
    gpu: CardNames = None,
    *,
    memory_mib: float | str | None = None,
    file_size: int | str | None = None,
    calibration: Path | None = None,
    records: Records = (),
    machine: Machine | None = None,
    program: str = DEFAULT_PROGRAM,
    goal: str | None = None,
    **knobs: Any,
) -> Answer:
    """Can I run it? One configuration of `model` (a file, a URL or `name:QUANT`) on a card,
    or on several (`"2x3090"`, or a list).

    `gpu` left out is the machine's own card; what is left out of `knobs` is as `program` has it.
    `file_size` is that of the file which a name stands for, in bytes or as "18.2GiB": its weights
    are fitted to it. `goal` (decode, prefill or context) asks for the best placement. `records` are
    results folders that may hold the evidence. ConfigError for what cannot be asked.
    """
    said = Said(program=checked_program(program), knobs=knobs, where="knobs")
    model = sized(model, file_size)
    asked = asked_of(model, gpu, memory_mib, calibration, said, machine)
    own = [asked.config.n_expert_used]
    (found,) = answers(asked, own, records_of(records), checked_goal(goal))
    return found


def answers(
    asked: Asked,
    experts: Sequence[int | None],
    records: "Sequence[Record]" = (),
    goal: Goal | None = None,
) -> list[Answer]:
    """The answer for each number of active experts; None is the model's own. With a `goal` the best
    placement for it is looked for, whether or not it fits as asked."""
    return [_answer(asked, n, records, goal) for n in experts]


def _answer(
    asked: Asked, n_expert_used: int | None, records: "Sequence[Record]", goal: Goal | None
) -> Answer:
    config = asked.config.with_(n_expert_used=n_expert_used)
    fit = own_fit(asked.estimator, asked.said, config)
    return answer_of(
        asked.estimator,
        fit.config if fit else config,
        records,
        said=asked.said,
        fit=fit,
        calibration=asked.calibration,
        goal=goal,
    )
