"""One declaration per family: names, model types and facts stand once, and nobody asks by name."""

import ast
import re
from collections import Counter
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Final

import oomph
from oomph.architectures import family as declarations
from oomph.architectures.families import FAMILIES, FILES, family_of
from oomph.architectures.family import GraphRules, HuggingFace

PACKAGE: Final = Path(oomph.__file__).parent
REPLAYS: Final = {
    "architectures/quantize.py": "llama-quantize's own rule for the 80 layers of a 70B",
    "models/split_experts.py": "only a Llama can be split",
    "estimate/feature_draft.py": "an EAGLE-3 head reads three layers, and of others than DFlash",
    "estimate/draft_pairs.py": "what kind of drafting a DFlash file is for is in its keys",
}
"""Where an architecture is asked for by name, and why."""


def test_a_family_and_a_model_type_are_declared_once() -> None:
    declared = list(FAMILIES.values())
    model_types = Counter(
        model_type
        for family in declared
        if family.hugging_face
        for model_type in family.hugging_face.model_types
    )
    assert len(declared) == sum(map(len, FILES.values()))
    shared = {name for name, n in model_types.items() if n > 1}
    of_any = HuggingFace(model_types=()).applies
    for family in declared:
        own = family.hugging_face
        if own and shared.intersection(own.model_types):
            assert own.applies is not of_any, family.name


def test_every_file_of_a_family_is_listed_with_what_it_declares() -> None:
    folder = PACKAGE / "architectures" / "families"
    assert {
        path.stem: tuple(
            family.name
            for family in import_module(f"oomph.architectures.families.{path.stem}").FAMILIES
        )
        for path in folder.glob("[a-z]*.py")
    } == FILES


def test_what_is_not_declared_is_a_general_transformer() -> None:
    unknown = family_of("of tomorrow")
    assert unknown.graph == GraphRules()
    assert not unknown.has_known_graph
    assert unknown.tensors is None


def test_the_guide_shows_a_family_as_it_is_declared() -> None:
    guide = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(Family\(.*?)```", guide, re.DOTALL)
    shown = eval(example, {**vars(declarations)})  # ours, not foreign text
    assert replace(shown, tensors=None) == replace(FAMILIES["olmo2"], tensors=None)


def test_a_layer_with_a_state_has_a_part_that_computes_it() -> None:
    for declared in FAMILIES.values():
        rule, part = declared.recurrence.layers, declared.recurrence.part
        assert (rule == "none") == (part == "none"), declared.name
        if declared.tensors:
            assert (rule == "none") == (not declared.tensors.recurrent), declared.name


def test_nobody_else_asks_for_an_architecture_by_name() -> None:
    """What sets an architecture apart is a field of its family, not a comparison elsewhere."""
    found = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Compare)
        and any(isinstance(side, ast.Attribute) and side.attr == "arch" for side in ast.walk(node))
        and any(
            isinstance(side, ast.Constant) and side.value in FAMILIES for side in ast.walk(node)
        )
    }
    assert found == set(REPLAYS)
