"""Python functions, classes and constants as JavaScript.

A function's variables are declared at its head, for Python's scope is the function; a method begins
with `self`.
"""

import ast
from collections import Counter
from collections.abc import Iterable, Iterator

from oomph.transpiler.calls import Calls
from oomph.transpiler.expressions import is_row, local_name, names_in, places_in
from oomph.transpiler.program import Program
from oomph.transpiler.signatures import (
    NotTranslatedError,
    decorators_of,
    fields_of,
    is_dataclass,
    is_frozen,
    signature_of,
)


def translate(program: Program) -> str:
    """Everything that `program` reaches, in an order in which each definition finds what it
    needs."""
    lines: list[str] = []
    names = Counter(name.rpartition(".")[2] for name in {module for module, _ in program.reached})
    if alike := [name for name, times in names.items() if times > 1]:
        raise NotTranslatedError(
            f"two modules are called {alike[0]}; a definition's JavaScript name begins with its "
            "module's"
        )
    for module in program.modules.values():
        statements = Statements(program, module)
        nodes = {
            id(node): node
            for name, node in module.definitions.items()
            if (module.name, name) in program.reached and not program.is_replaced(module, name)
        }
        for node in nodes.values():
            lines += statements.definition(node)
    return "\n".join(lines) + "\n"


class Statements(Calls):
    """Translates the statements of one module."""

    def definition(self, node: ast.stmt) -> list[str]:
        """A top-level definition."""
        if isinstance(node, ast.FunctionDef):
            name = self._global(node.name)
            if "lru_cache" in decorators_of(node):
                return self._remembering(node, name)
            self._check_decorators(node)
            return self._function(node, f"function{_star(node)} {name}")
        if isinstance(node, ast.ClassDef):
            return self._class(node)
        if isinstance(node, ast.AnnAssign | ast.Assign) and node.value:
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            return [f"const {self.expression(target)} = {self.expression(node.value)};"]
        raise self.refusal(node, "no definition")

    def _global(self, name: str) -> str:
        return self.global_name((self.module.name, name))

    def _remembering(self, node: ast.FunctionDef, name: str) -> list[str]:
        """A function that keeps what it has given for each argument, a text or a number."""
        if len(node.args.args) != 1:
            raise self.refusal(node, "what is remembered is translated of one argument alone")
        return [*self._function(node, f"const {name} = $remembering(function"), ");"]

    def _check_decorators(self, node: ast.FunctionDef) -> None:
        unknown = decorators_of(node) - {
            "property",
            "cached_property",
            "classmethod",
            "staticmethod",
        }
        if unknown:
            raise self.refusal(node, f"the decorator {min(unknown)} is not translated")

    # --- classes

    def _class(self, node: ast.ClassDef) -> list[str]:
        name = self._global(node.name)
        base = f" extends {self.expression(node.bases[0])}" if node.bases else ""
        lines = [f"class {name}{base} {{"]
        methods = self.program.kept_methods(node)
        if is_dataclass(node):
            lines += self._dataclass_constructor(node, methods)
        for method in methods.values():
            lines += self._method(method)
        lines.append("}")
        if is_dataclass(node):
            names = ", ".join(f'"{field}"' for field in fields_of(node))
            frozen = str(is_frozen(node)).lower()
            lines.append(f"$dataclass({name}, [{names}], {frozen});")
        return lines

    def _dataclass_constructor(
        self, node: ast.ClassDef, methods: dict[str, ast.FunctionDef]
    ) -> list[str]:
        fields = fields_of(node)
        parameters = [
            f"{local_name(n)} = {self._default(d)}" if d else local_name(n)
            for n, d in fields.items()
        ]
        lines = [f"constructor({', '.join(parameters)}) {{"]
        lines += [f"this.{field} = {local_name(field)};" for field in fields]
        return [*lines, *(["this.__post_init__();"] if "__post_init__" in methods else []), "}"]

    def _default(self, node: ast.expr) -> str:
        """A field's default; `field(default_factory=f)` is a call of `f` for each object."""
        if not (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "field"
        ):
            return self.expression(node)
        keyword = node.keywords[0]
        value = self.expression(keyword.value)
        return f"{value}()" if keyword.arg == "default_factory" else value

    def _method(self, node: ast.FunctionDef) -> list[str]:
        decorators = decorators_of(node)
        self._check_decorators(node)
        first = node.args.args[0].arg
        if node.name == "__init__":
            return self._function(node, "constructor", this=first)
        if decorators & {"property", "cached_property"}:
            lines = self._function(node, f"get {node.name}", this=first)
            if "cached_property" not in decorators:
                return lines
            kept = f"this.$kept_{node.name}"
            return [
                *self._function(node, f"${node.name}", this=first),
                f"get {node.name}() {{ return {kept} ??= this.${node.name}(); }}",
            ]
        static = "static " if "classmethod" in decorators else ""
        return self._function(node, f"{static}{_star(node)}{node.name}", this=first)

    # --- functions

    def _function(self, node: ast.FunctionDef, head: str, *, this: str | None = None) -> list[str]:
        """`head` with parameters and body; `this` is what a method calls its object."""
        signature = signature_of(node, bound=this is not None)
        names = [*signature.order, *((signature.rest,) if signature.rest else ())]
        variables = variables_of(node.body) - {*names}
        nested = {
            statement.name for statement in node.body if isinstance(statement, ast.FunctionDef)
        }
        with self.local({*names, *variables, *nested, *({this} if this else ())}):
            parameters = self.parameters(signature.order, node.args)
            if signature.rest:
                parameters += f"{', ' if parameters else ''}...{local_name(signature.rest)}"
            lines = [f"{head}({parameters}) {{"]
            lines += [f"const {this} = this;"] if this else []
            lines += (
                [f"let {', '.join(local_name(name) for name in sorted(variables))};"]
                if variables
                else []
            )
            return [*lines, *self.block(node.body), "}"]

    def block(self, body: Iterable[ast.stmt]) -> list[str]:
        """Statements one after the other."""
        return [line for statement in body for line in self.statement(statement)]

    def statement(self, node: ast.stmt) -> list[str]:
        """One statement; raises NotTranslated with file and line for what is not known here."""
        translate = getattr(self, f"_{type(node).__name__.lower()}_statement", None)
        if translate is None:
            raise self.refusal(node, f"{type(node).__name__} is not translated")
        return list(translate(node))

    def _importfrom_statement(self, _: ast.ImportFrom) -> list[str]:
        return []  # all that is reached is in one script

    def _functiondef_statement(self, node: ast.FunctionDef) -> list[str]:
        self._check_decorators(node)
        return self._function(node, f"function{_star(node)} {local_name(node.name)}")

    def _return_statement(self, node: ast.Return) -> Iterator[str]:
        yield f"return {self.expression(node.value) if node.value else 'null'};"

    def _expr_statement(self, node: ast.Expr) -> Iterator[str]:
        if isinstance(node.value, ast.Yield | ast.YieldFrom):
            star = "*" if isinstance(node.value, ast.YieldFrom) else ""
            yield (
                f"yield{star} {self.expression(node.value.value) if node.value.value else 'null'};"
            )
        elif not isinstance(node.value, ast.Constant):
            yield f"{self.expression(node.value)};"

    def _assert_statement(self, _: ast.Assert) -> tuple[str, ...]:
        """Nothing: what is asserted holds by the tests of the Python that is translated."""
        return ()

    def _pass_statement(self, _: ast.Pass) -> tuple[str, ...]:
        return ()

    def _continue_statement(self, _: ast.Continue) -> tuple[str, ...]:
        return ("continue;",)

    def _break_statement(self, _: ast.Break) -> tuple[str, ...]:
        return ("break;",)

    def _raise_statement(self, node: ast.Raise) -> Iterator[str]:
        yield f"throw {self.expression(node.exc) if node.exc else '$error'};"

    def _delete_statement(self, node: ast.Delete) -> Iterator[str]:
        for target in node.targets:
            if not isinstance(target, ast.Subscript):
                raise self.refusal(node, "only an item can be deleted")
            yield f"$delete({self.expression(target.value)}, {self.expression(target.slice)});"

    # --- assignments

    def _assign_statement(self, node: ast.Assign) -> list[str]:
        value = self.expression(node.value)
        if len(node.targets) == 1:
            return self._assigned(node.targets[0], value)
        if any(isinstance(target, ast.Subscript | ast.Tuple) for target in node.targets):
            lines = [line for target in node.targets for line in self._assigned(target, "$value")]
            return ["{", f"const $value = {value};", *lines, "}"]
        return [f"{' = '.join(self._target(target) for target in node.targets)} = {value};"]

    def _annassign_statement(self, node: ast.AnnAssign) -> list[str]:
        return self._assigned(node.target, self.expression(node.value)) if node.value else []

    def _assigned(self, target: ast.expr, value: str) -> list[str]:
        if isinstance(target, ast.Subscript):
            return [f"$put({self.expression(target.value)}, {self._key(target)}, {value});"]
        if is_row(target):
            return ["{", f"const $row = $items({value});", *self._unpacked(target), "}"]
        return [f"{self._target(target)} = {value};"]

    def _unpacked(self, target: ast.Tuple) -> list[str]:
        return [line for each in places_in(target) for line in self._assigned(*each)]

    def _key(self, target: ast.Subscript) -> str:
        if isinstance(target.slice, ast.Slice):
            raise self.refusal(target, "a slice cannot be assigned to")
        return self.expression(target.slice)

    def _target(self, target: ast.expr) -> str:
        """What is assigned to; an attribute is not a method's value here."""
        if isinstance(target, ast.Attribute):
            return f"{self.expression(target.value)}.{target.attr}"
        if isinstance(target, ast.Tuple | ast.List):
            return f"[{', '.join(self._target(item) for item in target.elts)}]"
        if isinstance(target, ast.Starred):
            return f"...{self._target(target.value)}"
        return self.expression(target)

    def _augassign_statement(self, node: ast.AugAssign) -> list[str]:
        """`+=` and `|=` change lists and dicts in place, as whoever else holds them sees."""
        in_place = {ast.Add: "$extended", ast.BitOr: "$updated"}.get(type(node.op))
        read = ast.parse(ast.unparse(node.target), mode="eval").body
        if in_place:
            value = f"{in_place}({self.expression(read)}, {self.expression(node.value)})"
        else:
            value = self.expression(ast.BinOp(read, node.op, node.value))
        return self._assigned(node.target, value)

    # --- control

    def _if_statement(self, node: ast.If) -> list[str]:
        lines = [f"if ({self.test(node.test)}) {{", *self.block(node.body), "}"]
        return [*lines, "else {", *self.block(node.orelse), "}"] if node.orelse else lines

    def _while_statement(self, node: ast.While) -> list[str]:
        if node.orelse:
            raise self.refusal(node, "the else of a loop is not translated")
        return [f"while ({self.test(node.test)}) {{", *self.block(node.body), "}"]

    def _for_statement(self, node: ast.For) -> list[str]:
        if node.orelse:
            raise self.refusal(node, "the else of a loop is not translated")
        items, target = self.expression(node.iter), node.target
        if is_row(target):
            head = [f"for (const $row of {items}) {{", *self._unpacked(target)]
        else:
            head = [f"for ({self._target(target)} of {items}) {{"]
        return [*head, *self.block(node.body), "}"]

    def _try_statement(self, node: ast.Try) -> list[str]:
        if node.orelse or node.finalbody:
            raise self.refusal(node, "only try and except are translated")
        lines = ["try {", *self.block(node.body), "} catch ($error) {"]
        for handler in node.handlers:
            lines += [*self._handler(handler), "else"]
        return [*lines, "throw $error;", "}"]

    def _handler(self, node: ast.ExceptHandler) -> list[str]:
        if node.type is None:
            raise self.refusal(node, "an exception must be named")
        types = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        tests = " || ".join(f"$error instanceof {self.expression(each)}" for each in types)
        bound = [f"{local_name(node.name)} = $error;"] if node.name else []
        return [f"if ({tests}) {{", *bound, *self.block(node.body), "}"]


def _star(node: ast.FunctionDef) -> str:
    return (
        "*" if any(isinstance(child, ast.Yield | ast.YieldFrom) for child in own(node.body)) else ""
    )


def own(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Everything in `body` but nested functions, which have names of their own."""
    for node in body:
        yield node
        if not isinstance(node, ast.FunctionDef | ast.Lambda):
            yield from own(ast.iter_child_nodes(node))


def variables_of(body: Iterable[ast.stmt]) -> set[str]:
    """The variables of a function: what it assigns to, outside comprehensions, whose names are
    their own."""
    found: set[str] = set()
    for node in own(body):
        if isinstance(node, ast.Assign):
            found |= {name for target in node.targets for name in names_in(target)}
        elif isinstance(node, ast.AnnAssign | ast.AugAssign | ast.For | ast.NamedExpr):
            found |= names_in(node.target)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            found.add(node.name)
    return found
