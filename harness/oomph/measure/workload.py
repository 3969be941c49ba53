"""What is done with a context once it stands: the `measure` of a sweep file.

Stands apart from the sweep, which says which contexts there are.
"""

import itertools
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from oomph.measure.fields import Count, Fraction, Seconds, StrictTable, as_float, expand
from oomph.records.schema import TASK_FAMILIES

SERVER: Final = "llama-server"
"""The value of `through` that is not the library."""
Depth = Annotated[float, BeforeValidator(as_float), Field(ge=0, le=1)]


class Repetitions(StrictTable):
    """How often one test is timed: at least `least`, then on until the median is known to
    `half_width`.

    `half_width` is the 95 % interval of the median, halved, as a fraction of it; it needs six
    samples to be known at all. `most` and `budget_s` end the wait. With `neighbours` the chunks
    that fill the context count as samples of prefill at a stop, moved there along their line, as
    long as the stop's own lies on it within 3 %.
    """

    least: Annotated[int, Field(ge=1)] = 3
    most: Annotated[int, Field(ge=1)] = 3
    half_width: Fraction | None = None
    budget_s: Seconds | None = None
    neighbours: bool = True

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.most < self.least:
            raise ValueError(f"has most = {self.most}, below least = {self.least}")
        return self


class Text(StrictTable):
    """A text whose negative log-likelihood is taken: its first `n_tokens`, in passes of `n_ctx`
    (one by default).

    `file` stands beside the sweep file. Without one it is the text that comes with oomph, some
    1,600 tokens; `pydoc` is the language reference that every CPython carries, some 120,000, which
    differs between versions of Python. `reference` names the knobs of the setting to compare with
    (`{ n_expert_used = 8, type_k = "f16" }`): the point that has them and shares all others keeps
    its log-probabilities, and the others' divergence from them is taken.
    """

    file: str | None = None
    n_tokens: Annotated[int, Field(ge=2)] = 1024
    n_ctx: Annotated[int, Field(ge=2)] | None = None
    reference: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.reference is not None and (not self.reference or "n_ctx" in self.reference):
            raise ValueError(
                "has a reference without knobs, or with n_ctx; name n_expert_used, type_k or the "
                "like"
            )
        return self


class NeedleTest(StrictTable):
    """Facts hidden in a long text and asked for, through the chat template of an instruct model.

    The text fills the context, or `n_tokens` of it, with one fact at each of `depths` (0 is its
    beginning, 1 its end, just before the question). It is made `n_texts` times, with other facts:
    that many answers a depth.
    """

    depths: Annotated[tuple[Depth, ...], Field(min_length=1, max_length=24)] = (
        0.0,
        0.25,
        0.5,
        0.75,
        1.0,
    )
    n_texts: Annotated[int, Field(ge=1)] = 4
    n_tokens: Annotated[int, Field(ge=64)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _tuples(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("depths"), list):
            return {**data, "depths": tuple(data["depths"])}
        return data


def _family(value: str) -> str:
    if value not in TASK_FAMILIES:
        raise ValueError(f"there are {', '.join(TASK_FAMILIES)}")
    return value


TaskFamily = Annotated[str, AfterValidator(_family)]
TaskLength = Annotated[int, Field(ge=128, le=1 << 24)] | Literal["full"]


class TaskTest(StrictTable):
    """Tasks over a long context after RULER, generated, asked through the chat template of an
    instruct model and graded by rule (`oomph.measure.tasks`).

    Each of `families` is asked `n_items` times at each of `lengths`, tokens of prompt and answer
    together; `"full"` is the context, and what a context cannot hold is left out of it. `depths`
    are gone through by the families whose answer stands in one place. An answer has `n_answer`
    tokens at most, each family's own number where none is given. After `budget_s` seconds no
    further item is begun. `reference` names the knobs of the setting that the others are compared
    with: its points are measured first.
    """

    families: Annotated[tuple[TaskFamily, ...], Field(min_length=1)] = TASK_FAMILIES
    lengths: Annotated[tuple[TaskLength, ...], Field(min_length=1)] = ("full",)
    n_items: Annotated[int, Field(ge=1, le=1000)] = 20
    depths: Annotated[tuple[Depth, ...], Field(min_length=1)] = (0.0, 0.25, 0.5, 0.75, 1.0)
    n_answer: Annotated[int, Field(ge=1, le=32768)] | None = None
    budget_s: Seconds | None = None
    reference: dict[str, Any] | None = None

    @model_validator(mode="before")
    @classmethod
    def _tuples(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        lists = {key: tuple(value) for key, value in data.items() if isinstance(value, list)}
        if isinstance(data.get("lengths"), list):
            lists["lengths"] = tuple(
                itertools.chain.from_iterable(
                    (item,) if item == "full" else expand(item) for item in data["lengths"]
                )
            )
        return {**data, **lists}

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in ("families", "lengths"):
            if len(set(getattr(self, name))) < len(getattr(self, name)):
                raise ValueError(f"has one of its {name} twice; name each once")
        if self.reference is not None and not self.reference:
            raise ValueError(
                "has a reference without knobs; name n_expert_used, type_k or the like"
            )
        return self

    def lengths_within(self, n_ctx: int) -> list[int]:
        """The lengths that a sequence of `n_ctx` tokens holds, ascending."""
        lengths = {n_ctx if length == "full" else length for length in self.lengths}
        return sorted(length for length in lengths if length <= n_ctx)


class Workload(StrictTable):
    """What is done with a context once it stands.

    `depths` are the fills at which `n_prompt` tokens of prefill and `n_gen` of decode are timed,
    `"full"` being the deepest that still takes both; depths that a context cannot hold are left out
    of it. Without `timing` the context is filled to the deepest of them and nothing is clocked (a
    card that only counts memory).

    `through` is what runs the model: the library in a worker, or llama-server, which alone drafts
    (`spec_type`), with the model's own head or with the model `draft`, a file's path. Through it a
    point is timed by the server's clock, over a text that people wrote.
    """

    n_prompt: Count = 512
    n_gen: Count = 32
    depths: tuple[Count | Literal["full"], ...] = (0,)
    timing: bool = True
    repetitions: Repetitions = Repetitions()
    text: Text | None = None
    needle: NeedleTest | None = None
    tasks: TaskTest | None = None
    seed: int = 1
    through: Literal["library", "llama-server"] = "library"
    draft: str | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.through == "library" and self.draft is not None:
            raise ValueError(f'has the draft {self.draft!r}; add through = "llama-server"')
        if self.through != "library" and (self.text or self.needle or self.tasks):
            raise ValueError(
                "has a text, facts or tasks to score, which is the library's; leave through out"
            )
        return self

    def memory_only(self) -> Self:
        """The same fill with nothing clocked or scored: what a card that does not compute can
        do."""
        return self.model_copy(
            update={"timing": False, "text": None, "needle": None, "tasks": None}
        )

    @model_validator(mode="before")
    @classmethod
    def _tuples(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("depths"), list):
            return {
                **data,
                "depths": tuple(
                    itertools.chain.from_iterable(
                        expand(item) if item != "full" else (item,) for item in data["depths"]
                    )
                ),
            }
        return data

    def identity(self) -> dict[str, Any]:
        """What makes two workloads the same: every key, but not those of later versions while they
        are unset."""
        said = self.model_dump()
        if said["repetitions"]["neighbours"]:
            del said["repetitions"]["neighbours"]
        for asked in ("needle", "tasks"):
            if said[asked] is None:
                del said[asked]
        if said["text"] and said["text"]["reference"] is None:
            del said["text"]["reference"]
        if said["through"] == "library":
            del said["through"], said["draft"]
        return said
