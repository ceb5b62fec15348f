"""An update in two parts: the numbers before the tensors, and the arithmetic on tensors."""

import functools
from typing import Any, NamedTuple

from torch import nn
from torch.fx import Graph, GraphModule, Node, Proxy
from torch.fx.proxy import GraphAppendingTracer

from theta0.stacked.rules.rule import Rule


class Split(NamedTuple):
    """`rule.update` as two functions; state and scalars stand in the rule's order.

    Attributes:
        coefficients: (*hyper, *scalars, t) -> (*coefficients, *scalars for the next step): what
            comes of a member's numbers alone, such as 1 − β₂ᵗ. Computed once a step and in float64,
            as Python's numbers are in a solo optimizer, not again for every weight.
        on_tensors: (p, g, *state, *coefficients) -> (p, *state): the rest.
    """

    coefficients: GraphModule
    on_tensors: GraphModule


@functools.cache
def split(rule: Rule, hyper: tuple[str, ...]) -> Split:
    """Trace `rule.update`, given the names of its numbers, and part it where they meet tensors."""
    whole = Graph()
    tracer = GraphAppendingTracer(whole)

    def inputs(*names: str) -> dict[str, Any]:
        return {name: Proxy(whole.placeholder(name), tracer) for name in names}

    tensors, state = inputs("p", "g"), inputs(*rule.state)
    numbers, scalars, t = inputs(*hyper), inputs(*rule.scalars), inputs("t")
    result: Any = rule.update(**tensors, state=state | scalars, hyper=numbers, **t)
    p, new = result

    on_tensors = {proxy.node for proxy in (tensors | state).values()}
    for node in whole.nodes:
        if not on_tensors.isdisjoint(node.all_input_nodes):
            on_tensors.add(node)
    alone = [node for node in whole.nodes if node not in on_tensors]
    border = [node for node in alone if not on_tensors.isdisjoint(node.users)]

    def nodes(proxies: dict[str, Any]) -> list[Node]:
        return [proxy.node for proxy in proxies.values()]

    def function(arguments: list[Node], results: list[Node]) -> GraphModule:
        """From the nodes that are given to those that are asked for."""
        graph = Graph()
        copies = {node: graph.placeholder(node.name) for node in arguments}
        for node in whole.nodes:
            within = copies.keys() >= set(node.all_input_nodes)
            if node not in copies and within and node.op != "placeholder":
                copies[node] = graph.node_copy(node, copies.__getitem__)
        graph.output(tuple(copies[node] for node in results))
        graph.eliminate_dead_code()
        return GraphModule(nn.Module(), graph)

    next_state = [new[name].node for name in state]
    return Split(
        function(nodes(numbers | scalars | t), border + [new[name].node for name in scalars]),
        function(nodes(tensors | state) + border, [p.node, *next_state]),
    )
