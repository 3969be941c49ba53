"""Calls of Python as JavaScript: of the package's own functions, of builtins, of methods.

A call is translated by who is called. Ours are looked up for what their parameters are called; a
method is known by its name alone, so classes must agree on its parameters where a call names one.
"""

import ast
from collections.abc import Sequence

from oomph.transpiler.expressions import Expressions
from oomph.transpiler.program import Place
from oomph.transpiler.signatures import NotTranslatedError, Signature

STRING_METHODS = frozenset(
    {
        "endswith",
        "format",
        "isdigit",
        "join",
        "lower",
        "lstrip",
        "partition",
        "removeprefix",
        "removesuffix",
        "rpartition",
        "rstrip",
        "split",
        "startswith",
        "strip",
        "upper",
    }
)
"""Methods that only strings have; `split` and `join` mean something else in JavaScript."""
LIST_METHODS = frozenset({"append", "extend", "index", "insert", "pop"})
EXHAUSTING = frozenset(
    {"sum", "max", "min", "tuple", "list", "set", "frozenset", "sorted", "dict", "Counter", "join"}
)
"""What takes every item of a generator, so that a list serves it as well, and faster."""
TYPES = frozenset({"int", "float", "str", "bool", "tuple", "list", "dict"})


class Calls(Expressions):
    """Expressions with calls among them."""

    def _call(self, node: ast.Call) -> str:
        place = self.place(node.func)
        if place and self.program.module(place[0]).is_ours:
            return self._call_of_ours(node, place)
        if isinstance(node.func, ast.Name) and node.func.id == "isinstance" and not place:
            return self._isinstance(*node.args)
        if isinstance(node.func, ast.Name) and node.func.id == "cls":
            return f"new cls({', '.join(self.all(node.args))})"
        if place or isinstance(node.func, ast.Name):
            return self._call_of_library(node)
        if isinstance(node.func, ast.Attribute):
            return self._call_of_method(node, node.func)
        return f"{self.expression(node.func)}({', '.join(self.all(node.args))})"

    def _call_of_ours(self, node: ast.Call, place: Place) -> str:
        name, signature = self.global_name(place), self.program.signature(place)
        new = "new " if isinstance(self.program.definition(place), ast.ClassDef) else ""
        if new and any(keyword.arg is None for keyword in node.keywords):
            return f"$construct({name}, {self._others(node.keywords)})"
        return f"{new}{name}({', '.join(self._arguments(node, signature))})"

    def _call_of_library(self, node: ast.Call) -> str:
        """A builtin, or another library's function: what is named goes last, for the runtime to
        unpack."""
        name = self.expression(node.func)
        if name in ("$any", "$all", "$next") and isinstance(node.args[0], ast.GeneratorExp):
            return self._shortcut(name, node.args[0], self.all(node.args[1:]))
        exhausts = name.rpartition(".")[2].lstrip("$") in EXHAUSTING
        arguments = [self._item(argument, exhausts=exhausts) for argument in node.args]
        if node.keywords and all(keyword.arg for keyword in node.keywords):
            pairs = ", ".join(
                f"{keyword.arg}: {self.expression(keyword.value)}" for keyword in node.keywords
            )
            arguments.append(f"new $Named({{{pairs}}})")
        elif node.keywords:
            arguments.append(f"$Named.of({self._others(node.keywords)})")
        return f"{name}({', '.join(arguments)})"

    def _shortcut(self, name: str, items: ast.GeneratorExp, missing: list[str]) -> str:
        """`any`, `all` and `next` of a generator, without making one."""
        if name == "$next":
            return self._first(items, "return {0};", missing[0] if missing else "$next([])")
        if name == "$any":
            return self._first(items, "if ({0}) return true;", "false", tests=True)
        return self._first(items, "if (!{0}) return false;", "true", tests=True)

    def _item(self, node: ast.expr, *, exhausts: bool) -> str:
        if exhausts and isinstance(node, ast.GeneratorExp):
            return self._listcomp(node)
        return self.expression(node)

    def _call_of_method(self, node: ast.Call, method: ast.Attribute) -> str:
        owner, name = self.expression(method.value), method.attr
        named = [keyword.arg for keyword in node.keywords]
        every = self.program.method_signatures.get(name, set())
        signatures = {signature for signature in every if signature.takes(named)} or every
        if signatures and (len(signatures) == 1 or not node.keywords):
            placed = [
                signature for signature in signatures if signature.rest and signature.keywords
            ]
            signature = next(iter(placed or signatures))
            if len(signatures) == 1 or not placed:
                return f"{owner}.{name}({', '.join(self._arguments(node, signature))})"
        if signatures:
            raise NotTranslatedError(f"classes disagree on what {name} takes")
        if node.keywords:
            raise NotTranslatedError(
                f"no method {name} is known, so what its arguments are called neither"
            )
        arguments = [self._item(argument, exhausts=name in EXHAUSTING) for argument in node.args]
        if name in STRING_METHODS:
            return f"$string.{name}({', '.join([owner, *arguments])})"
        if name in LIST_METHODS:
            return f"$list.{name}({', '.join([owner, *arguments])})"
        return f"{owner}.{name}({', '.join(arguments)})"

    def _arguments(self, node: ast.Call, signature: Signature | None) -> list[str]:
        given = self.all(node.args)
        if signature is None:
            if node.keywords:
                raise NotTranslatedError("named arguments of what is no function")
            return given
        own = {k.arg: self.expression(k.value) for k in node.keywords if k.arg in signature.order}
        if len(own) == len(node.keywords):
            return signature.lay_out(given, own)
        if not signature.others:
            raise NotTranslatedError("named arguments that the function does not have")
        rest = [keyword for keyword in node.keywords if keyword.arg not in own]
        return signature.lay_out(given, {**own, signature.others: self._others(rest)})

    def _others(self, keywords: Sequence[ast.keyword]) -> str:
        """Named arguments as a dict."""
        return self._dict(
            ast.Dict(
                [ast.Constant(k.arg) if k.arg else None for k in keywords],
                [k.value for k in keywords],
            )
        )

    def _isinstance(self, value: ast.expr, types: ast.expr) -> str:
        names = [node for node in ast.walk(types) if isinstance(node, ast.Name)]
        tests = [
            f"$is.{name.id}($it)"
            if name.id in TYPES and not self.place(name)
            else f"$it instanceof {self.expression(name)}"
            for name in names
        ]
        return f"(($it) => {' || '.join(tests)})({self.expression(value)})"
