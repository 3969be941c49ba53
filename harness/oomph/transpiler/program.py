"""Which definitions a page needs, found by following names from where it starts.

Reads the package's own source files and never runs them. A class comes with those of its methods
whose name is used somewhere, so that what reads files or prints stays behind.
"""

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources

from oomph.transpiler.signatures import (
    NotTranslatedError,
    Signature,
    constructor_signature,
    decorators_of,
    fields_of,
    is_dataclass,
    methods_of,
    signature_of,
)

Place = tuple[str, str]
"""A definition: its module's full name, and its name there; no name for the module itself."""

ALWAYS_KEPT = frozenset({"__init__", "__post_init__", "__getitem__"})
"""Methods that are called without being named."""


@dataclass(frozen=True)
class Module:
    """One module: its top-level definitions, and what each imported name stands for. Other
    libraries' are empty."""

    name: str
    definitions: dict[str, ast.stmt] = field(default_factory=dict)
    imports: dict[str, Place] = field(default_factory=dict)

    @property
    def is_ours(self) -> bool:
        """Whether it is of this package, and so translated."""
        return self.name.partition(".")[0] == "oomph"


class Program:
    """The definitions that can be reached from `roots` ("module:name"), and what is known of them.

    `replaced` are definitions that the page provides itself, `called` the methods that it calls.
    """

    def __init__(
        self, roots: Iterable[str], *, replaced: Iterable[str] = (), called: Iterable[str] = ()
    ) -> None:
        self.modules: dict[str, Module] = {}
        self.reached: dict[Place, None] = {}
        self.attributes = {*ALWAYS_KEPT, *called}
        self._replaced = {_place(name) for name in replaced}
        for root in roots:
            self._reach(_place(root))
        self._follow_all()

    # --- what a name stands for

    def module(self, name: str) -> Module:
        """The module of that name; those that it imports come before it in `modules`."""
        if name not in self.modules:
            module = Module(name)
            for statement in ast.parse(_source(name), filename=name).body if module.is_ours else ():
                self._take(module, statement)
            self.modules[name] = module
        return self.modules[name]

    def definition(self, place: Place) -> ast.stmt | None:
        """The statement that defines `place`; None for a module, and for what another library
        defines."""
        return self.module(place[0]).definitions.get(place[1])

    def resolve(self, module: Module, name: str) -> Place | None:
        """What a name in `module` stands for; None for a builtin."""
        if name in module.definitions:
            return module.name, name
        return module.imports.get(name)

    def member(self, module: Module, node: ast.Attribute) -> Place | None:
        """What `node` stands for where it is a name in an imported module (`math.e`,
        `attention.standard`)."""
        owner = self.resolve(module, node.value.id) if isinstance(node.value, ast.Name) else None
        return (owner[0], node.attr) if owner and not owner[1] else None

    def kept_methods(self, node: ast.ClassDef) -> dict[str, ast.FunctionDef]:
        """The methods of a class whose name is used."""
        return {
            name: method for name, method in methods_of(node).items() if name in self.attributes
        }

    def signature(self, place: Place) -> Signature | None:
        """What the function or class at `place` takes; None for anything else."""
        node = self.definition(place)
        if isinstance(node, ast.ClassDef):
            return constructor_signature(node)
        return signature_of(node, bound=False) if isinstance(node, ast.FunctionDef) else None

    @cached_property
    def method_signatures(self) -> dict[str, set[Signature]]:
        """The signatures that methods of each name have: more than one where classes disagree."""
        found: dict[str, set[Signature]] = {}
        for node in filter(None, map(self.definition, self.reached)):
            for name, method in (
                self.kept_methods(node) if isinstance(node, ast.ClassDef) else {}
            ).items():
                if not decorators_of(method) & {"property", "cached_property"}:
                    found.setdefault(name, set()).add(signature_of(method, bound=True))
        return found

    def is_replaced(self, module: Module, name: str) -> bool:
        """Whether the page provides this definition."""
        return (module.name, name) in self._replaced

    # --- following names

    def _take(self, module: Module, statement: ast.stmt) -> None:
        """Enter a top-level statement, or an import, into its module."""
        if isinstance(statement, ast.Import):
            module.imports.update(
                {(alias.asname or alias.name): (alias.name, "") for alias in statement.names}
            )
        elif isinstance(statement, ast.ImportFrom) and statement.module:
            for alias in statement.names:
                whole = f"{statement.module}.{alias.name}"
                place = (whole, "") if _is_module(whole) else (statement.module, alias.name)
                module.imports[alias.asname or alias.name] = place
                self.module(place[0])
        elif isinstance(statement, ast.FunctionDef | ast.ClassDef):
            module.definitions[statement.name] = statement
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            names = [
                name.id
                for target in targets
                for name in ast.walk(target)
                if isinstance(name, ast.Name)
            ]
            module.definitions.update(dict.fromkeys(names, statement))

    def _reach(self, place: Place) -> None:
        if self.module(place[0]).is_ours and place[1]:
            if self.definition(place) is None:
                raise NotTranslatedError(f"{place[0]} defines no {place[1]} at its top level")
            self.reached[place] = None

    def _follow_all(self) -> None:
        """Follow names until nothing new is found; a newly named method is looked for in classes
        already reached."""
        followed: set[int] = set()
        size = -1
        while size != len(self.reached) + len(self.attributes):
            size = len(self.reached) + len(self.attributes)
            for place in list(self.reached):
                for part in [part for part in self._parts(place) if id(part) not in followed]:
                    followed.add(id(part))
                    self._follow(self.module(place[0]), part)

    def _parts(self, place: Place) -> list[ast.AST]:
        """What of a definition is translated: all of it, but of a class the methods that are
        used."""
        node = self.definition(place)
        if node is None or place in self._replaced:
            return []
        if not isinstance(node, ast.ClassDef):
            return [node]
        defaults = (
            [value for value in fields_of(node).values() if value] if is_dataclass(node) else []
        )
        return [*node.bases, *defaults, *self.kept_methods(node).values()]

    def _follow(self, module: Module, part: ast.AST) -> None:
        for node in without_annotations(part):
            place = None
            if isinstance(node, ast.ImportFrom):  # in a function: imported where it is needed
                self._take(module, node)
            elif isinstance(node, ast.Name):
                place = self.resolve(module, node.id)
            elif isinstance(node, ast.Attribute):
                self.attributes.add(node.attr)
                place = self.member(module, node)
            if place:
                self._reach(place)


def without_annotations(node: ast.AST) -> Iterable[ast.AST]:
    """`node` and everything in it that runs: no annotations, no decorators."""
    yield node
    for name, value in ast.iter_fields(node):
        if name not in ("annotation", "returns", "decorator_list"):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from without_annotations(child)


def _place(name: str) -> Place:
    module, _, definition = name.partition(":")
    return module, definition


def _source(module: str) -> str:
    package, _, name = module.rpartition(".")
    file = resources.files(package).joinpath(f"{name}.py")
    if not file.is_file():
        file = resources.files(module).joinpath("__init__.py")
    return file.read_text(encoding="utf-8")


def _is_module(name: str) -> bool:
    """Whether a name of this package is a module, and not something in one."""
    package, _, last = name.rpartition(".")
    if not package.startswith("oomph"):
        return False
    folder = resources.files("oomph").joinpath(*package.split(".")[1:])
    return folder.joinpath(f"{last}.py").is_file() or folder.joinpath(last, "__init__.py").is_file()
