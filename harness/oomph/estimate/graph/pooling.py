"""Embeddings of whole inputs: how the vectors of their tokens become one, or a score."""

from typing import Final

from oomph.architectures.families import family_of
from oomph.architectures.spec import ModelSpec
from oomph.config import POOLINGS, RunConfig
from oomph.estimate.graph.builder import Builder
from oomph.estimate.graph.tensor import F32, I32, Tensor

_MEAN: Final = POOLINGS["mean"]
_NAMES: Final = {number: name for name, number in POOLINGS.items()}
_HEAD: Final = ("cls.weight", "cls.output.weight")


def resolve_pooling(config: RunConfig, model: ModelSpec) -> str | None:
    """How llama.cpp pools under `config`: as it says, else as the file does, else not at all
    ("none"); None where no embeddings are asked for."""
    if not config.embeddings:
        return None
    return config.pooling or own_pooling(model)


def own_pooling(model: ModelSpec) -> str:
    """How the file says that its vectors are pooled; "none" where it does not say."""
    return _NAMES.get(model.integer("pooling_type", 0), "none")


def has_classifier(model: ModelSpec) -> bool:
    """Whether the file has the head that makes a score of an embedding."""
    return any(name in model.tensors for name in _HEAD)


def averages(pooling: str, model: ModelSpec) -> bool:
    """Whether the mean of all tokens is taken, also where a classifier looks at it
    (llama_hparams::pooling_type_cls)."""
    default = _MEAN if family_of(model.arch).graph.scores_mean else 0
    of_classifier = model.integer("classifier.pooling_type", default) == _MEAN
    return pooling == "mean" or (pooling == "rank" and of_classifier)


def pool(b: Builder, x: Tensor) -> None:
    """What is made of the tokens' vectors `x` [n_embd, n_outputs]: build_pooling and
    build_dense_out."""
    graph = b.graph
    y = x if b.pooling == "none" else _by_sequence(b, x)
    if b.pooling == "rank":
        y = _score(b, y)
    y.is_output = True
    graph.expand(y)
    for name in ("dense_2", "dense_3"):
        if b.has(f"{name}.weight"):
            y = b.linear(name, y)
    y.is_output = True
    graph.expand(y)


def _by_sequence(b: Builder, x: Tensor) -> Tensor:
    """One vector a sequence: the mean of its tokens', or that of its first or last."""
    graph, n_seqs = b.graph, b.sizes.n_seqs
    if averages(b.pooling or "none", b.model):
        return graph.mul_mat(
            graph.cont(graph.transpose(x)), b.input("mean", F32, b.n_tokens, n_seqs)
        )
    return graph.get_rows(x, b.input("cls", I32, n_seqs))


def _score(b: Builder, y: Tensor) -> Tensor:
    """The classification head, as much of it as the file has."""
    graph = b.graph
    if b.has("cls.weight"):
        y = graph.unary(b.rules.score_activation.upper(), b.linear("cls", y))
        if b.has("cls.norm.weight"):
            y = b.norm(y, "cls.norm")
    if b.has("cls.output.weight"):
        y = b.linear("cls.output", y)
    return graph.like("SOFT_MAX", y) if b.rules.weighs_scores else y
