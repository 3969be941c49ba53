"""What is done with a context once it stands: the `measure` of a sweep file.

Stands apart from the sweep, which says which contexts there are.
"""

import itertools
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from oomph.measure.fields import Count, Fraction, Seconds, StrictTable, as_float, expand

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
    seed: int = 1
    through: Literal["library", "llama-server"] = "library"
    draft: str | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.through == "library" and self.draft is not None:
            raise ValueError(f'has the draft {self.draft!r}; add through = "llama-server"')
        if self.through != "library" and (self.text or self.needle):
            raise ValueError(
                "has a text or facts to score, which is the library's; leave through out"
            )
        return self

    def memory_only(self) -> Self:
        """The same fill with nothing clocked or scored: what a card that does not compute can
        do."""
        return self.model_copy(update={"timing": False, "text": None, "needle": None})

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
        if said["needle"] is None:
            del said["needle"]
        if said["text"] and said["text"]["reference"] is None:
            del said["text"]["reference"]
        if said["through"] == "library":
            del said["through"], said["draft"]
        return said
