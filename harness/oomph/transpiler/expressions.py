"""Python expressions as JavaScript: one method for each kind that the estimate layer uses.

Names that begin with `$` are the runtime's (`python.js`): what an operator, a builtin or a
builtin type's method means in Python. What is translated is pure, so an operand may be written
twice where Python evaluates it once.
"""

import ast
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeGuard

from oomph.transpiler.program import Module, Place, Program
from oomph.transpiler.signatures import NotTranslatedError, defaults_of

BUILTINS = frozenset(
    {
        "abs",
        "all",
        "any",
        "bool",
        "dict",
        "enumerate",
        "filter",
        "float",
        "frozenset",
        "getattr",
        "int",
        "len",
        "list",
        "map",
        "max",
        "min",
        "next",
        "range",
        "reversed",
        "round",
        "set",
        "sorted",
        "str",
        "sum",
        "tuple",
        "zip",
        "Exception",
        "KeyError",
        "ValueError",
    }
)
RESERVED = frozenset(
    {
        "arguments",
        "case",
        "const",
        "default",
        "delete",
        "eval",
        "export",
        "extends",
        "function",
        "new",
        "super",
        "switch",
        "this",
        "typeof",
        "var",
        "void",
    }
)

LARGEST_INTEGER = 1 << 53

_ARITHMETIC = {ast.Mult: "*", ast.Div: "/"}
_HELPERS = {
    ast.Add: "$add",
    ast.Sub: "$sub",
    ast.Mod: "$mod",
    ast.FloorDiv: "$floordiv",
    ast.BitOr: "$union",
    ast.BitAnd: "$both",
}
_ORDER = {
    ast.Lt: ("<", "$lt"),
    ast.LtE: ("<=", "$le"),
    ast.Gt: (">", "$gt"),
    ast.GtE: (">=", "$ge"),
}


class Expressions:
    """Translates the expressions of one module; `names` are the local names in reach, innermost
    last."""

    def __init__(self, program: Program, module: Module) -> None:
        self.program, self.module = program, module
        self.names: list[set[str]] = []

    def expression(self, node: ast.expr) -> str:
        """`node` as JavaScript; raises NotTranslated with file and line for what is not known
        here."""
        translate = getattr(self, f"_{type(node).__name__.lower()}", None)
        if translate is None:
            raise self.refusal(node, f"{type(node).__name__} is not translated")
        try:
            return str(translate(node))
        except NotTranslatedError as error:
            raise error if ":" in str(error) else self.refusal(node, str(error)) from None

    def refusal(self, node: ast.AST, why: str) -> NotTranslatedError:
        """The error that names the place."""
        return NotTranslatedError(
            f"{self.module.name}:{getattr(node, 'lineno', '?')}: {why}: {ast.unparse(node)[:80]}"
        )

    def all(self, nodes: Iterable[ast.expr]) -> list[str]:
        """Each of `nodes` as JavaScript."""
        return [self.expression(node) for node in nodes]

    @contextmanager
    def local(self, names: Iterable[str]) -> Iterator[None]:
        """Within it, these names are local."""
        self.names.append(set(names))
        yield
        self.names.pop()

    # --- names and constants

    def _constant(self, node: ast.Constant) -> str:
        if not isinstance(node.value, str | int | float | None):
            raise NotTranslatedError("no such constant")
        if isinstance(node.value, int) and abs(node.value) > LARGEST_INTEGER:
            raise NotTranslatedError("more than JavaScript counts to")
        return json.dumps(node.value)

    def _name(self, node: ast.Name) -> str:
        place = self.place(node)
        if place:
            return self.global_name(place)
        if self.is_local(node.id):
            return local_name(node.id)
        if node.id in BUILTINS:
            return f"${node.id}"
        raise NotTranslatedError("a name that is not known")

    def is_local(self, name: str) -> bool:
        """Whether `name` is a parameter or a variable here."""
        return any(name in names for names in self.names)

    def place(self, node: ast.expr) -> Place | None:
        """The definition that `node` names, in this package or in another library."""
        if isinstance(node, ast.Attribute):
            named = isinstance(node.value, ast.Name) and not self.is_local(node.value.id)
            return self.program.member(self.module, node) if named else None
        if isinstance(node, ast.Name) and not self.is_local(node.id):
            return self.program.resolve(self.module, node.id)
        return None

    def global_name(self, place: Place) -> str:
        """The JavaScript name of a definition: `speed_decode$rate`, or of a library's:
        `$math.exp`."""
        module, name = place
        stem = module.rpartition(".")[2]
        return f"{stem}${name}" if self.program.module(module).is_ours else f"${stem}.{name}"

    def _attribute(self, node: ast.Attribute) -> str:
        place = self.place(node)
        if place:
            return self.global_name(place)
        if node.attr in self.program.method_signatures:
            return f"$bound({self.expression(node.value)}, {json.dumps(node.attr)})"
        return f"{self.expression(node.value)}.{node.attr}"

    # --- collections

    def _tuple(self, node: ast.Tuple | ast.List) -> str:
        return f"[{', '.join(self.all(node.elts))}]"

    _list = _tuple

    def _set(self, node: ast.Set) -> str:
        return f"$set([{', '.join(self.all(node.elts))}])"

    def _dict(self, node: ast.Dict) -> str:
        pairs = [
            f"[{self.expression(key)}, {self.expression(value)}]"
            if key
            else f"...{self.expression(value)}.items()"
            for key, value in zip(node.keys, node.values, strict=True)
        ]
        return f"$dict([{', '.join(pairs)}])"

    def _starred(self, node: ast.Starred) -> str:
        value = node.value
        if isinstance(value, ast.GeneratorExp):
            return f"...{self._listcomp(value)}"
        return f"...{self.expression(value)}"

    def _subscript(self, node: ast.Subscript) -> str:
        value = self.expression(node.value)
        if isinstance(node.slice, ast.Slice):
            ends = (node.slice.lower, node.slice.upper, node.slice.step)
            return (
                f"$slice({value}, "
                f"{', '.join(self.expression(end) if end else 'null' for end in ends)})"
            )
        return f"$get({value}, {self.expression(node.slice)})"

    def _listcomp(self, node: ast.ListComp | ast.GeneratorExp | ast.SetComp) -> str:
        return self._collected(node.generators, node.elt)

    def _setcomp(self, node: ast.SetComp) -> str:
        return f"$set({self._listcomp(node)})"

    def _dictcomp(self, node: ast.DictComp) -> str:
        return f"$dict({self._collected(node.generators, ast.Tuple([node.key, node.value]))})"

    def _first(
        self, node: ast.GeneratorExp, found: str, missing: str, *, tests: bool = False
    ) -> str:
        """A loop over a generator's items that ends where `found` returns, and gives `missing`
        where it never does."""
        translate = self.test if tests else self.expression
        loop = self._loop(node.generators, lambda: found.format(translate(node.elt)))
        return f"(() => {{ {loop} return {missing}; }})()"

    def _generatorexp(self, node: ast.GeneratorExp) -> str:
        loop = self._loop(node.generators, lambda: f"yield {self.expression(node.elt)};")
        return f"(function* () {{ {loop} }})()"

    def _collected(self, generators: list[ast.comprehension], item: ast.expr) -> str:
        loop = self._loop(generators, lambda: f"$into.push({self.expression(item)});")
        return f"(() => {{ const $into = []; {loop} return $into; }})()"

    def _loop(self, generators: list[ast.comprehension], body: Callable[[], str]) -> str:
        """Nested loops over `generators` around `body`, which is written where their names are
        known."""
        if not generators:
            return body()
        first, rest = generators[0], generators[1:]
        items = self.expression(first.iter)
        with self.local(names_in(first.target)):
            tests = " && ".join(self.test(test) for test in first.ifs)
            inner = self._loop(rest, body)
            guarded = f"if ({tests}) {{ {inner} }}" if tests else inner
            if not is_row(first.target):
                return f"for (const {self._pattern(first.target)} of {items}) {{ {guarded} }}"
            places = places_in(first.target)
            named = ((item, place) for item, place in places if names_in(item) != {"_"})
            bound = ", ".join(f"{self._pattern(item)} = {place}" for item, place in named)
            own = f"const {bound}; " if bound else ""
            return f"for (const $row of {items}) {{ {own}{guarded} }}"

    def _pattern(self, target: ast.expr) -> str:
        """A loop variable of a comprehension, or several; `_` may stand twice, and names
        nothing."""
        if isinstance(target, ast.Tuple):
            items = ("" if names_in(item) == {"_"} else self._pattern(item) for item in target.elts)
            return f"[{', '.join(items)}]"
        return (
            f"...{self._pattern(target.value)}"
            if isinstance(target, ast.Starred)
            else self.expression(target)
        )

    # --- operators

    def _binop(self, node: ast.BinOp) -> str:
        left, right = self.expression(node.left), self.expression(node.right)
        if isinstance(node.op, ast.Mult) and any(
            isinstance(n, ast.Tuple | ast.List) for n in (node.left, node.right)
        ):
            return f"$repeat({left}, {right})"
        if isinstance(node.op, ast.Pow):
            return f"(({left}) ** ({right}))"
        if isinstance(node.op, ast.LShift):
            if isinstance(node.left, ast.Constant) and isinstance(node.right, ast.Constant):
                value = ast.literal_eval(node.left) << ast.literal_eval(node.right)
                return self.expression(ast.copy_location(ast.Constant(value), node))
            return f"({left} * 2 ** {right})"
        if isinstance(node.op, ast.Add | ast.Sub) and any(
            is_number(n) for n in (node.left, node.right)
        ):
            return f"({left} {'+' if isinstance(node.op, ast.Add) else '-'} {right})"
        if symbol := _ARITHMETIC.get(type(node.op)):
            return f"({left} {symbol} {right})"
        if helper := _HELPERS.get(type(node.op)):
            return f"{helper}({left}, {right})"
        raise NotTranslatedError(f"{type(node.op).__name__} is not translated")

    def _unaryop(self, node: ast.UnaryOp) -> str:
        if isinstance(node.op, ast.Not):
            return f"!{self.test(node.operand)}"
        return f"({'-' if isinstance(node.op, ast.USub) else '+'}{self.expression(node.operand)})"

    def _boolop(self, node: ast.BoolOp) -> str:
        if all(is_boolean(value) for value in node.values):
            return self.test(node)
        helper = "$and" if isinstance(node.op, ast.And) else "$or"
        first, *rest = self.all(node.values)
        return f"{helper}({first}, {', '.join(f'() => {value}' for value in rest)})"

    def test(self, node: ast.expr) -> str:
        """`node` as a condition: what Python takes for true."""
        if isinstance(node, ast.BoolOp):
            symbol = " && " if isinstance(node.op, ast.And) else " || "
            return f"({symbol.join(self.test(value) for value in node.values)})"
        return self.expression(node) if is_boolean(node) else f"$truth({self.expression(node)})"

    def _ifexp(self, node: ast.IfExp) -> str:
        return (
            f"({self.test(node.test)} ? {self.expression(node.body)} : "
            f"{self.expression(node.orelse)})"
        )

    def _namedexpr(self, node: ast.NamedExpr) -> str:
        return f"({self.expression(node.target)} = {self.expression(node.value)})"

    def _compare(self, node: ast.Compare) -> str:
        sides = [node.left, *node.comparators]
        parts = [self._comparison(*each) for each in zip(sides, node.ops, sides[1:], strict=False)]
        return parts[0] if len(parts) == 1 else f"({' && '.join(parts)})"

    def _comparison(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> str:
        a, b = self.expression(left), self.expression(right)
        if isinstance(op, ast.In | ast.NotIn):
            return f"{'!' if isinstance(op, ast.NotIn) else ''}$in({a}, {b})"
        if isinstance(op, ast.Is | ast.IsNot | ast.Eq | ast.NotEq):
            sign = "=" if isinstance(op, ast.Is | ast.Eq) else "!"
            if any(isinstance(side, ast.Constant) and side.value is None for side in (left, right)):
                # a missing value is undefined to JavaScript, and None to Python
                return f"({a} {sign}= {b})"
            if isinstance(op, ast.Is | ast.IsNot) or any(
                isinstance(side, ast.Constant) for side in (left, right)
            ):
                return f"({a} {sign}== {b})"
            return f"{'!' if sign == '!' else ''}$eq({a}, {b})"
        symbol, helper = _ORDER[type(op)]
        return (
            f"({a} {symbol} {b})" if is_number(left) or is_number(right) else f"{helper}({a}, {b})"
        )

    # --- functions and text

    def _lambda(self, node: ast.Lambda) -> str:
        names = [parameter.arg for parameter in node.args.args]
        with self.local(names):
            return f"(({self.parameters(names, node.args)}) => {self.expression(node.body)})"

    def parameters(self, names: Sequence[str], arguments: ast.arguments) -> str:
        """A parameter list with its defaults."""
        defaults = defaults_of(arguments)
        return ", ".join(
            f"{local_name(n)} = {self.expression(defaults[n])}" if n in defaults else local_name(n)
            for n in names
        )

    def _joinedstr(self, node: ast.JoinedStr) -> str:
        parts = " + ".join(['""', *self.all(node.values)])
        return f"({parts})"

    def _formattedvalue(self, node: ast.FormattedValue) -> str:
        value = self.expression(node.value)
        if node.conversion == ord("r"):
            return f"$repr({value})"
        return (
            f"$format({value}, {self.expression(node.format_spec)})"
            if node.format_spec
            else f"$str({value})"
        )


def local_name(name: str) -> str:
    """A variable's name, where JavaScript keeps the word for itself."""
    return f"{name}$" if name in RESERVED else name


def is_row(target: ast.expr) -> TypeGuard[ast.Tuple]:
    """Whether what is assigned to is a row of a known length: none of its names takes all that the
    others leave."""
    return isinstance(target, ast.Tuple) and not any(
        isinstance(item, ast.Starred) for item in target.elts
    )


def places_in(target: ast.Tuple, row: str = "$row") -> Iterator[tuple[ast.expr, str]]:
    """What a row's items are assigned to, each with its place: JavaScript's own way to unpack goes
    through an iterator."""
    for i, item in enumerate(target.elts):
        place = f"{row}[{i}]"
        if is_row(item):
            yield from places_in(item, place)
        else:
            yield item, place


def names_in(target: ast.expr) -> set[str]:
    """The names that an assignment to `target` binds."""
    return {
        node.id
        for node in ast.walk(target)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


def is_number(node: ast.expr) -> bool:
    """Whether `node` is a number wherever it stands."""
    if isinstance(node, ast.UnaryOp):
        return is_number(node.operand)
    if isinstance(node, ast.BinOp) and not isinstance(
        node.op, ast.Add | ast.Mult | ast.BitOr | ast.BitAnd | ast.Sub
    ):
        return True
    is_length = (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "len"
    )
    return is_length or (isinstance(node, ast.Constant) and type(node.value) in (int, float))


def is_boolean(node: ast.expr) -> bool:
    """Whether `node` is true or false wherever it stands, so that both languages take it alike."""
    if isinstance(node, ast.BoolOp):
        return all(is_boolean(value) for value in node.values)
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.Not)
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in (
            "any",
            "all",
            "bool",
            "isinstance",
        )
    return isinstance(node, ast.Compare) or (
        isinstance(node, ast.Constant) and isinstance(node.value, bool)
    )
