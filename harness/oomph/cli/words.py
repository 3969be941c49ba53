"""Keeps a command's words from typer's coercion, which loads pydantic to make text of text.

typer 0.29 sends every value, and every option that was not given, through pydantic: 75 ms, more
than all else that it does. Nearly all options here are text that oomph reads itself. A typer that
converts in another way is left alone.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, get_args

_MAKERS: Final[dict[Any, Callable[[str], Any]]] = {str: str, Path: Path}


class _Words:
    """What typer asks to convert a value: nothing stays nothing, text text, a path a path; the rest
    is typer's own."""

    def __init__(self, own: Callable[[], Any], annotation: Any) -> None:
        self._own = own
        kinds = get_args(annotation) or (annotation,)
        self._make = _MAKERS.get(kinds[0]) if len(kinds) == 1 else None

    def __call__(self) -> "_Words":
        """Itself: typer asks the parameter for it."""
        return self

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """`value` as the command takes it."""
        is_many = param.multiple or param.nargs == -1
        if value is None:
            return () if is_many else None
        words = list(value) if is_many else [value]
        if self._make is None or not all(isinstance(word, str) for word in words):
            return self._own().coerce(value, param=param, ctx=ctx)
        made = [self._make(word) for word in words]
        return made if is_many else made[0]


def keep_words(params: Sequence[Any]) -> None:
    """Let the values of these parameters be what was typed, where they are text or paths."""
    for param in params:
        own = getattr(param, "get_runtime_param", None)
        if own is not None and not isinstance(own, _Words):
            param.get_runtime_param = _Words(own, param.type_descriptor.annotation)
