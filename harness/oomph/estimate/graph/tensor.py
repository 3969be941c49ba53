"""ggml's tensors and operators: shapes, strides, views and the order of a graph.

Stands apart from the layers because it knows ggml and nothing of models: each method of `Graph`
makes the tensor that the `ggml_*` function of its name makes, with the same sources in the same
order, and `Graph.expand` visits them as `ggml_build_forward_expand` does. No data, only what
decides memory.
"""

from math import prod
from typing import Final

from oomph.gguf.ggml_types import QUANTS, QuantType

F32: Final = QUANTS["F32"]
F16: Final = QUANTS["F16"]
I32: Final = QUANTS["I32"]
I64: Final = QUANTS["I64"]

VIEW_OPS: Final = frozenset({"VIEW", "RESHAPE", "PERMUTE", "TRANSPOSE"})
"""Operators that compute nothing; the scheduler never runs them."""

EXACT: Final = "PREC_F32"
"""The kind of a MUL_MAT_ID whose input must stay F32 (ggml_prec_set_src)."""

COPIED: Final = "COPIED"
"""The kind of a weight's copy on another device, which has the weight's name."""

Shape = tuple[int, int, int, int]


def pad(n: int, multiple: int) -> int:
    """`n` rounded up to a `multiple` (GGML_PAD)."""
    return -(-n // multiple) * multiple


def shape(ne: tuple[int, ...]) -> Shape:
    """`ne` with ones appended to ggml's four dimensions."""
    a, b, c, d, *_ = (*ne, 1, 1, 1)
    return a, b, c, d


def strides(quant: QuantType, ne: Shape) -> Shape:
    """Byte strides of a contiguous tensor (ggml_new_tensor)."""
    row = ne[0] // quant.block * quant.block_bytes
    plane = row * ne[1]
    return quant.block_bytes, row, plane, plane * ne[2]


class Tensor:
    """One ggml tensor. `ne` elements and `nb` byte strides have four items, the contiguous
    dimension first.

    `device` is set where the data already has a buffer (weights, caches) and names it; `pinned` is
    the device that llama.cpp itself chose for a node. `backend` is the scheduler's: it also
    replaces sources by their copies, so a graph is scheduled once.
    """

    __slots__ = (
        "backend",
        "device",
        "is_input",
        "is_output",
        "is_weight",
        "kind",
        "n_bytes",
        "name",
        "nb",
        "ne",
        "offset",
        "op",
        "pinned",
        "quant",
        "src",
        "view_src",
    )

    def __init__(  # noqa: PLR0913 - a field of ggml_tensor each
        self,
        op: str,
        quant: QuantType,
        ne: Shape,
        src: "list[Tensor]",
        *,
        nb: Shape | None = None,
        view_src: "Tensor | None" = None,
        offset: int = 0,
        name: str = "",
        kind: str = "",
        device: str | None = None,
        is_input: bool = False,
        is_weight: bool = False,
    ) -> None:
        self.op, self.kind, self.name, self.quant, self.ne, self.src = (
            op,
            kind,
            name,
            quant,
            ne,
            src,
        )
        self.view_src, self.offset = view_src, offset
        self.device, self.is_weight = device, is_weight
        self.pinned: str | None = None
        self.backend = -1
        self.is_input, self.is_output = is_input, False
        if nb is None:
            self.nb = strides(quant, ne)
            self.n_bytes = self.nb[3] * ne[3]
        else:
            self.nb = nb
            self.n_bytes = _strided_bytes(quant, ne, nb)

    @property
    def root(self) -> "Tensor":
        """The tensor that owns the data: itself, or what it is a view of."""
        return self.view_src or self

    @property
    def is_contiguous(self) -> bool:
        """Whether the strides are those of a fresh tensor of this shape (ggml_is_contiguous)."""
        wanted = strides(self.quant, self.ne)
        return all(
            n == 1 or have == want for n, have, want in zip(self.ne, self.nb, wanted, strict=True)
        )

    def __repr__(self) -> str:
        return f"{self.op} {self.name} {self.quant.name}{list(self.ne)}"


def _strided_bytes(quant: QuantType, ne: Shape, nb: Shape) -> int:
    """Bytes from the first to the last element (ggml_nbytes); 0 for an empty view."""
    if min(ne) <= 0:
        return 0
    first = (
        quant.block_bytes + (ne[0] - 1) * nb[0]
        if quant.block == 1
        else ne[0] * nb[0] // quant.block
    )
    return first + (ne[1] - 1) * nb[1] + (ne[2] - 1) * nb[2] + (ne[3] - 1) * nb[3]


class Graph:
    """Leaves and nodes in ggml's order, and the operators that make them."""

    def __init__(self) -> None:
        self.leafs: list[Tensor] = []
        self.nodes: list[Tensor] = []
        self._visited: set[Tensor] = set()

    def expand(self, tensor: Tensor) -> Tensor:
        """Append `tensor` and what it needs, sources first, left to right
        (ggml_build_forward_expand)."""
        visited = self._visited
        if tensor in visited:
            return tensor
        visited.add(tensor)
        path = [tensor]  # a graph may be deeper than Python's stack
        while path:
            last, depth = path[-1], len(path)
            for source in last.src:
                if source not in visited:
                    visited.add(source)
                    path.append(source)
                    break
            if len(path) == depth:
                path.pop()
                (self.leafs if last.op == "NONE" else self.nodes).append(last)
        return tensor

    # --- tensors of their own

    def leaf(
        self,
        quant: QuantType,
        *ne: int,
        name: str,
        device: str | None = None,
        is_input: bool = False,
        is_weight: bool = False,
    ) -> Tensor:
        """A tensor without sources: a weight or cache on `device`, or an input that the scheduler
        places."""
        return Tensor(
            "NONE",
            quant,
            shape(ne),
            [],
            name=name,
            device=device,
            is_input=is_input,
            is_weight=is_weight,
        )

    def node(
        self, op: str, ne: tuple[int, ...], *src: Tensor | None, quant: QuantType = F32
    ) -> Tensor:
        """The result of an operator that needs no method of its own; absent sources are left
        out."""
        return Tensor(op, quant, shape(ne), [source for source in src if source is not None])

    def like(self, op: str, x: Tensor, *src: Tensor | None) -> Tensor:
        """A node of `x`'s type and shape: ROPE, SOFT_MAX, SCALE, CLAMP and their kind."""
        return Tensor(op, x.quant, x.ne, [x, *(source for source in src if source is not None)])

    def mul_mat(self, weight: Tensor, x: Tensor) -> Tensor:
        """Rows of `weight` times columns of `x`; F32."""
        return self.node("MUL_MAT", (weight.ne[1], *x.ne[1:]), weight, x)

    def mul_mat_id(self, weight: Tensor, x: Tensor, ids: Tensor) -> Tensor:
        """`mul_mat` by the experts that `ids` [n_expert_used, n_tokens] chooses."""
        return self.node("MUL_MAT_ID", (weight.ne[1], ids.ne[0], x.ne[2]), weight, x, ids)

    def get_rows(self, x: Tensor, ids: Tensor) -> Tensor:
        """The rows of `x` that `ids` names, as F32."""
        return self.node("GET_ROWS", (x.ne[0], *ids.ne[:3]), x, ids)

    def add(self, a: Tensor, b: Tensor) -> Tensor:
        """`a + b`, in the shape of `a`."""
        return self.like("ADD", a, b)

    def mul(self, a: Tensor, b: Tensor) -> Tensor:
        """`a * b`, in the shape of `a`."""
        return self.like("MUL", a, b)

    def scale(self, x: Tensor) -> Tensor:
        """`x` times a constant."""
        return self.like("SCALE", x)

    def rms_norm(self, x: Tensor) -> Tensor:
        """`x` normed along its rows."""
        return self.like("RMS_NORM", x)

    def unary(self, kind: str, x: Tensor) -> Tensor:
        """An element-wise function, `kind` as ggml names it (SILU, SIGMOID, TANH …)."""
        return Tensor("UNARY", x.quant, x.ne, [x], kind=kind)

    def glu(self, gate: Tensor, up: Tensor | None = None) -> Tensor:
        """A gated activation; without `up` the two halves of `gate`'s rows."""
        return self.node("GLU", gate.ne if up else (gate.ne[0] // 2, *gate.ne[1:]), gate, up)

    def concat(self, a: Tensor, b: Tensor, axis: int = 0) -> Tensor:
        """`a` and `b` side by side along the rows, or along another axis."""
        ne = [n + b.ne[i] if i == axis else n for i, n in enumerate(a.ne)]
        return Tensor("CONCAT", a.quant, (ne[0], ne[1], ne[2], ne[3]), [a, b])

    def cont(self, x: Tensor, *ne: int) -> Tensor:
        """A contiguous copy of `x`, in the shape `ne` where one is given."""
        return Tensor("CONT", x.quant, shape(ne) if ne else x.ne, [x])

    # --- views

    def _view_of(
        self,
        op: str,
        x: Tensor,
        ne: Shape,
        nb: Shape,
        offset: int = 0,
        src: list[Tensor] | None = None,
    ) -> Tensor:
        return Tensor(op, x.quant, ne, src or [x], nb=nb, view_src=x.root, offset=x.offset + offset)

    def view(
        self, x: Tensor, ne: tuple[int, ...], nb: tuple[int, ...] = (), offset: int = 0
    ) -> Tensor:
        """A window on `x`: `nb` gives the strides from dimension 1 on, the rest follow
        (ggml_view_1d … _4d)."""
        full = shape(ne)
        steps = [x.quant.block_bytes, *nb]
        if len(steps) == 1:
            steps.append(x.quant.row_bytes(full[0]))
        while len(steps) < 4:
            steps.append(steps[-1] * full[len(steps) - 1])
        return self._view_of("VIEW", x, full, (steps[0], steps[1], steps[2], steps[3]), offset)

    def reshape(self, x: Tensor, *ne: int) -> Tensor:
        """The contiguous `x` in another shape."""
        full = shape(ne)
        return self._view_of("RESHAPE", x, full, strides(x.quant, full))

    def permute(self, x: Tensor, *axes: int, op: str = "PERMUTE") -> Tensor:
        """Dimension i of `x` becomes dimension `axes[i]`."""
        ne, nb = [0] * 4, [0] * 4
        for i, axis in enumerate(axes):
            ne[axis], nb[axis] = x.ne[i], x.nb[i]
        return self._view_of(op, x, (ne[0], ne[1], ne[2], ne[3]), (nb[0], nb[1], nb[2], nb[3]))

    def transpose(self, x: Tensor) -> Tensor:
        """The first two dimensions swapped."""
        return self.permute(x, 1, 0, 2, 3, op="TRANSPOSE")

    # --- writes into another tensor's data: the result is a view of it

    def _write(self, op: str, target: Tensor, *src: Tensor) -> Tensor:
        return self._view_of(op, target, target.ne, target.nb, src=list(src))

    def set_rows(self, target: Tensor, x: Tensor, ids: Tensor) -> Tensor:
        """`x` written to the rows `ids` of `target`."""
        return self._write("SET_ROWS", target, x, ids, target)

    def cpy(self, x: Tensor, target: Tensor) -> Tensor:
        """`x` copied over `target`."""
        return self._write("CPY", target, x, target)

    def add_inplace(self, a: Tensor, b: Tensor) -> Tensor:
        """`a + b`, written over `a`."""
        return self._write("ADD", a, a, b)

    def scale_inplace(self, x: Tensor) -> Tensor:
        """`x` times a constant, written where it is."""
        return self._write("SCALE", x, x)


def n_elements(x: Tensor) -> int:
    """Elements of a tensor (ggml_nelements)."""
    return prod(x.ne)
