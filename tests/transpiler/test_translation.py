"""Python that becomes JavaScript, and Python that is refused with file and line."""

import ast
import json
import shutil
import subprocess
from importlib import resources
from typing import Any

import pytest

from oomph.transpiler.program import Module, Program
from oomph.transpiler.signatures import NotTranslatedError, Signature, signature_of
from oomph.transpiler.statements import Statements, translate


def _function(source: str) -> str:
    tree = ast.parse(source).body[0]
    assert isinstance(tree, ast.FunctionDef)
    module = Module("oomph.test", {tree.name: tree})
    program = Program(())
    program.modules[module.name] = module
    return " ".join(Statements(program, module).definition(tree))


@pytest.mark.parametrize(
    ("python", "javascript"),
    [
        ("return -(-a // b) * b", "return ((-$floordiv((-a), b)) * b);"),
        ("return a[-1] if a else None", "return ($truth(a) ? $get(a, (-1)) : null);"),
        ("return 0 <= a < b", "return ((0 <= a) && $lt(a, b));"),
        ("return a is None or not b", "return ((a == null) || !$truth(b));"),
        ("return [x for x in a if x]", "for (const x of a) { if ($truth(x)) { $into.push(x); } }"),
        (
            "return any(x > 1 for x in a)",
            "for (const x of a) { if ((x > 1)) return true; } return false;",
        ),
        ("return f'{a:,} of {b}'", '("" + $format(a, ("" + ",")) + " of " + $str(b))'),
        ("a += b\n return a", "a = $extended(a, b);"),
        ("return 1 << 40", "return 1099511627776;"),
        ("return isinstance(a, int | tuple)", "(($it) => $is.int($it) || $is.tuple($it))(a)"),
        ("del a[b]", "$delete(a, b);"),
        ("return max(a, key=lambda x: -x)", "$max(a, new $Named({key: ((x) => (-x))}))"),
    ],
)
def test_what_differs_goes_through_the_runtime(python: str, javascript: str) -> None:
    assert javascript in _function(f"def f(a, b):\n {python}")


def test_variables_are_the_functions_and_reserved_words_are_renamed() -> None:
    text = _function("def f(new, *rest, n=2):\n for i in rest:\n  x = i\n return x, new, n")
    assert text.startswith("function test$f(new$, n = 2, ...rest) { let i, x;")


@pytest.mark.parametrize(
    ("python", "why"),
    [
        ("with a: pass", "With is not translated"),
        ("return 1 << 62", "more than JavaScript counts to"),
        ("return unknown", "a name that is not known"),
        ("a.sort(key=b)", "no method sort is known"),
        ("for x in a: pass\n else: return b", "the else of a loop"),
        ("return a @ b", "MatMult is not translated"),
        ("@cache\n def g(c): pass", "the decorator cache is not translated"),
    ],
)
def test_what_is_not_known_is_refused_with_its_place(python: str, why: str) -> None:
    with pytest.raises(NotTranslatedError, match=rf"oomph\.test:\d+: .*{why}"):
        _function(f"def f(a, b):\n {python}")


def test_named_arguments_find_their_places() -> None:
    tree = ast.parse("def f(self, op, ne, *src, quant=1, name=''): pass").body[0]
    assert isinstance(tree, ast.FunctionDef)
    signature = signature_of(tree, bound=True)
    assert signature == Signature(positional=("op", "ne"), keywords=("quant", "name"), rest="src")
    assert signature.lay_out(["a", "b"], {"name": "n"}) == ["a", "b", "undefined", "n"]
    assert signature.lay_out(["a", "b", "c"], {}) == ["a", "b", "undefined", "undefined", "c"]
    with pytest.raises(NotTranslatedError, match="no parameter colour"):
        signature.lay_out([], {"colour": "red"})


def test_of_methods_with_one_name_the_one_is_taken_that_has_the_arguments() -> None:
    tree = ast.parse("def f(self, *, model=None, gpu=None): pass\ndef g(self, **changes): pass")
    of_one, of_another = (
        signature_of(node, bound=True) for node in tree.body if isinstance(node, ast.FunctionDef)
    )
    assert [of_one.takes(named) for named in (["gpu"], ["n_ctx"], [None])] == [True, False, False]
    assert [of_another.takes(named) for named in (["gpu"], ["n_ctx"], [None])] == [True, True, True]


def test_only_what_is_reached_comes_along() -> None:
    program = Program(["oomph.estimate.pool:Pool"], called=("take",))
    text = translate(program)
    assert "class pool$Pool" in text
    assert "take(n)" in text
    assert "const pool$_UNBOUNDED" in text
    assert "give_back" not in text
    assert "class tensor$Tensor" not in text


def test_what_a_function_imports_comes_along() -> None:
    text = translate(Program(["oomph.estimate.likelihood:reserve_bytes"]))
    assert "$statistics.NormalDist().inv_cdf(probability)" in text
    assert "from statistics" not in text


def test_a_root_that_is_not_there_is_named() -> None:
    with pytest.raises(NotTranslatedError, match=r"oomph\.units defines no furlong"):
        Program(["oomph.units:furlong"])


def _said(script: str) -> Any:
    """What a script prints as JSON that has the runtime before it."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node is installed; on Debian: apt-get install nodejs")
    runtime = resources.files("oomph.transpiler").joinpath("python.js").read_text("utf-8")
    done = subprocess.run([node, "-e", runtime + script], capture_output=True, check=True)
    return json.loads(done.stdout)


def test_a_counter_adds_what_it_is_updated_with() -> None:
    said = _said("""
        const counter = $collections.Counter(["a", "a", "b"]);
        counter.update($dict([["a", 3], ["c", 0]]));
        counter.update(["b"]);
        console.log(JSON.stringify(counter.items()));
    """)
    assert said == [["a", 5], ["b", 2], ["c", 0]]


def test_what_is_remembered_is_made_once_for_each_argument() -> None:
    function = _function("@lru_cache(maxsize=9)\ndef f(a):\n return None if a == 'b' else [a]")
    said = _said(f"""
        {function}
        const [one, other] = [test$f("a"), test$f("c")];
        console.log(JSON.stringify([one, other, test$f("b"), test$f("b"), test$f("a") === one]));
    """)
    assert said == [["a"], ["c"], None, None, True]


def test_what_is_remembered_has_one_argument() -> None:
    with pytest.raises(NotTranslatedError, match="of one argument alone"):
        _function("@lru_cache(maxsize=9)\ndef f(a, b):\n return a")


@pytest.mark.parametrize(
    ("python", "given", "said"),
    [
        ("b, (c, _) = a\n return [c, b]", "[1, [2, 3]]", [2, 1]),
        ("b, *c = a\n return [c, b]", "[1, 2, 3]", [[2, 3], 1]),
        ("b, c = a\n return [c, b]", "$set([1, 2])", [2, 1]),
        ("b, c = a, 4\n c, b = b, c\n return [b, c]", "3", [4, 3]),
        ("a[0], b = a[1], a[0]\n return [a, b]", "[1, 2]", [[2, 2], 1]),
        ("return [b for (b, _), _ in a]", "[[[1, 2], 3], [[4, 5], 6]]", [1, 4]),
        ("return [[c, d] for b, *c in a for _, d in c]", "[[1, [2, 3]]]", [[[[2, 3]], 3]]),
        ("c = 0\n for b, (_, d) in a:\n  c += b * d\n return c", "[[2, [0, 3]], [1, [0, 1]]]", 7),
    ],
)
def test_rows_are_unpacked_as_python_does(python: str, given: str, said: object) -> None:
    function = _function(f"def f(a):\n {python}")
    assert _said(f"{function} console.log(JSON.stringify(test$f({given})));") == said


def test_lists_are_repeated_and_zipped() -> None:
    said = _said("""
        console.log(JSON.stringify([
            $repeat([1, 2], 2), $repeat(2, [[3]]), $repeat([1], -1),
            $zip([1, 2, 3], "ab"), $zip($set([1]), [2, 3], [4]),
            $in(2, [1, 2]), $in(null, [undefined]), $in([1], [[1]]), $in("a", "ba"), $in(2, [1]),
        ]));
    """)
    assert said[:5] == [[1, 2, 1, 2], [[3], [3]], [], [[1, "a"], [2, "b"]], [[1, 2, 4]]]
    assert said[5:] == [True, True, True, True, False]


def test_sets_in_a_key_are_equal_by_what_they_hold() -> None:
    said = _said("""
        const known = $dict([[["a", $frozenset(["x", "y"])], 1], [["a", $frozenset()], 2]]);
        const sets = [["y", "x"], [], ["x"]];
        const asked = sets.map((items) => ["a", $frozenset(items)]);
        console.log(JSON.stringify(asked.map((key) => known.get(key))));
    """)
    assert said == [1, 2, None]
