"""Who takes which argument: keyword arguments become positions when a call is translated.

JavaScript has no keyword arguments. A function's parameters are laid out as positional,
keyword-only, `**others`, and `*rest` last, and each call that names an argument is laid out the
same way.
"""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


class NotTranslatedError(Exception):
    """Python that this package does not translate: a bug of whoever wrote it, or a gap to fill
    here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """The names of a function's parameters, without `self`."""

    positional: tuple[str, ...]
    keywords: tuple[str, ...] = ()
    others: str | None = None
    rest: str | None = None

    @property
    def order(self) -> tuple[str, ...]:
        """The parameters as JavaScript has them, but for the rest."""
        return (*self.positional, *self.keywords, *((self.others,) if self.others else ()))

    def takes(self, named: Sequence[str | None]) -> bool:
        """Whether a call may name these arguments; None is `**others`."""
        return self.others is not None or all(name in self.order for name in named)

    def lay_out(self, given: Sequence[str], named: Mapping[str, str]) -> list[str]:
        """The arguments of a call in order; raises NotTranslated where they do not fit."""
        if not named and not (self.rest and self.keywords):
            return list(given)
        head, tail = given[: len(self.positional)], given[len(self.positional) :]
        if any(argument.startswith("...") for argument in head):
            raise NotTranslatedError("a starred argument stands before a named one")
        slots = {**dict(zip(self.positional, head, strict=False)), **named}
        if unknown := slots.keys() - set(self.order):
            raise NotTranslatedError(f"there is no parameter {min(unknown)}")
        values = [slots.get(name, "undefined") for name in self.order]
        while not tail and values and values[-1] == "undefined":
            values.pop()
        return [*values, *tail]


def signature_of(node: ast.FunctionDef, *, bound: bool) -> Signature:
    """The signature of a function, or with `bound` of a method or class method."""
    names = [parameter.arg for parameter in (*node.args.posonlyargs, *node.args.args)]
    others, rest = node.args.kwarg, node.args.vararg
    return Signature(
        positional=tuple(names[1:] if bound else names),
        keywords=tuple(p.arg for p in node.args.kwonlyargs),
        others=others.arg if others else None,
        rest=rest.arg if rest else None,
    )


def defaults_of(arguments: ast.arguments) -> dict[str, ast.expr]:
    """The parameters that have a default, with it."""
    names = [parameter.arg for parameter in (*arguments.posonlyargs, *arguments.args)]
    found = dict(
        zip(names[len(names) - len(arguments.defaults) :], arguments.defaults, strict=True)
    )
    for parameter, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if default is not None:
            found[parameter.arg] = default
    return found


def is_dataclass(node: ast.ClassDef) -> bool:
    """Whether the class is decorated with `@frozen`, `@mutable` or `@dataclass`."""
    return is_frozen(node) or any(
        name == "mutable" or "dataclass" in name for name in _decorators(node)
    )


def is_frozen(node: ast.ClassDef) -> bool:
    """Whether nothing is assigned to its instances."""
    return any(name == "frozen" or "frozen=True" in name for name in _decorators(node))


def _decorators(node: ast.ClassDef) -> list[str]:
    return [ast.unparse(decorator) for decorator in node.decorator_list]


def fields_of(node: ast.ClassDef) -> dict[str, ast.expr | None]:
    """A dataclass's fields in order, each with its default."""
    return {
        item.target.id: item.value
        for item in node.body
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
    }


def methods_of(node: ast.ClassDef) -> dict[str, ast.FunctionDef]:
    """A class's methods and properties by name."""
    return {item.name: item for item in node.body if isinstance(item, ast.FunctionDef)}


def decorators_of(node: ast.FunctionDef) -> set[str]:
    """The names that a function is decorated with, without arguments."""
    return {ast.unparse(each).partition("(")[0] for each in node.decorator_list}


def constructor_signature(node: ast.ClassDef) -> Signature:
    """What a class takes to be made: its fields, or what `__init__` takes."""
    if is_dataclass(node):
        return Signature(positional=tuple(fields_of(node)))
    init = methods_of(node).get("__init__")
    return signature_of(init, bound=True) if init else Signature(positional=("message",))
