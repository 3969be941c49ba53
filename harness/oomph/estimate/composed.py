"""A graph of some of a model's layers, which stands for the whole."""

from collections.abc import Mapping, Sequence

from oomph.estimate.allocator import Repeated
from oomph.estimate.graph.builder import Builder
from oomph.estimate.graph.compose import build_graph
from oomph.estimate.graph.drafters import DRAFTERS
from oomph.estimate.graph.next_token import build_head
from oomph.estimate.graph.tensor import Graph, Tensor
from oomph.estimate.repeats import Selection
from oomph.estimate.scheduler import Schedule


class Composed:
    """A graph of some layers, `ends` the output of each, `fused_layers` the layer of each fused
    operator; once it is scheduled, with its plan."""

    def __init__(
        self,
        graph: Graph,
        ends: Mapping[int, Tensor],
        fused_layers: Mapping[Tensor, int],
        selection: Selection,
    ) -> None:
        self.graph, self.ends = graph, ends
        self.fused_layers, self.selection = fused_layers, selection
        self.plan: Schedule | None = None
        self.n_inputs = sum(leaf.is_input for leaf in graph.leafs)
        """Inputs of the graph, of which equal layers share each."""
        runs = selection.runs if len(ends) == len(selection.layers) else ()
        self.repeated: list[Repeated] = []
        """Runs of which repetitions are left out."""
        self.n_nodes = len(graph.nodes)
        """Nodes of the whole graph."""
        at = {ends[il]: 0 for run in runs for il in run.ends}
        for i, node in enumerate(graph.nodes):
            if node in at:
                at[node] = i
        for run in runs:
            last = tuple(ends[il] for il in run.ends)
            self.repeated.append(last)
            self.n_nodes += run.n_left_out * (at[last[1]] - at[last[0]])


def graph_of(b: Builder, layers: Sequence[int]) -> tuple[Graph, dict[int, Tensor]]:
    """The graph of `b`: of its layers, of its model's head, or of the drafter that it is."""
    if b.rules.drafter != "none":
        return DRAFTERS[b.rules.drafter](b)
    return build_head(b) if b.hparams.is_head else build_graph(b, layers)
