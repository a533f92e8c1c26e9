# SPDX-License-Identifier: Apache-2.0
"""graph: PageRank and breadth-first distances over a random graph.

  {"nodes": count, "seed": number, "input": size}

Large: more nodes, and Kruskal's spanning forest over the links as edges, by weights.

In whole numbers, so that the result does not depend on a machine's floating point.
"""

import collections
import hashlib
import random

from . import is_large, number

NODES_DEFAULT = 3000
NODES_LARGE = 8000
NODES_MAX = 100_000
LINKS_MAX = 8
ROUNDS = 8
ONE = 1 << 32
DAMPING_PERCENT = 85


def make_graph(nodes: int, seed: int) -> list[list[int]]:
    """Each node's links; earlier nodes get more of them."""
    source = random.Random(seed)
    return [
        [int(source.random() ** 2 * nodes) for _ in range(source.randint(1, LINKS_MAX))]
        for _ in range(nodes)
    ]


def page_rank(graph: list[list[int]]) -> list[int]:
    ranks = [ONE] * len(graph)
    for _ in range(ROUNDS):
        fresh = [ONE * (100 - DAMPING_PERCENT) // 100] * len(graph)
        for node, links in enumerate(graph):
            share = ranks[node] * DAMPING_PERCENT // (100 * len(links))
            for link in links:
                fresh[link] += share
        ranks = fresh
    return ranks


def distances(graph: list[list[int]]) -> dict[int, int]:
    """Of each node that can be reached from node 0."""
    found = {0: 0} if graph else {}
    queue = collections.deque(found)
    while queue:
        node = queue.popleft()
        for link in graph[node]:
            if link not in found:
                found[link] = found[node] + 1
                queue.append(link)
    return found


def spanning_forest(graph: list[list[int]]) -> list[tuple[int, int, int]]:
    """The lightest edges that connect what is connected: weight, node, node."""
    edges = sorted(
        ((node * 31 + link * 17) % 1009, node, link)
        for node, links in enumerate(graph)
        for link in links
    )
    parents = list(range(len(graph)))

    def root_of(node: int) -> int:
        while parents[node] != node:
            parents[node] = parents[parents[node]]
            node = parents[node]
        return node

    forest = []
    for weight, node, link in edges:
        one, other = root_of(node), root_of(link)
        if one != other:
            parents[one] = other
            forest.append((weight, node, link))
    return forest


def answer(request: dict) -> dict:
    large = is_large(request)
    nodes = number(request, "nodes", NODES_LARGE if large else NODES_DEFAULT, NODES_MAX)
    graph = make_graph(nodes, int(request.get("seed", 1)))
    ranks = page_rank(graph)
    reached = distances(graph)
    result = f"{ranks}\n{sorted(reached.items())}"
    if large:
        result += f"\n{spanning_forest(graph)}"
    return {
        "nodes": len(graph),
        "reached": len(reached),
        "farthest": max(reached.values(), default=0),
        "sha256": hashlib.sha256(result.encode()).hexdigest(),
    }
