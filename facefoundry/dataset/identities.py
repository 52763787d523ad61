"""Which clips belong together: those of one subject, of one source video, or of one pair. Pure functions.

Everywhere, *identities* maps the id of a clip to the keys of who and what it shows, such as `subject id00012` and
`source video tR7z_H1qPMc`. Two clips that have a key in common must not be in two splits.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from facefoundry.dataset.plan import Pair

__all__ = ["Identities", "Leak", "bridging_pairs", "components", "groups", "leaks", "related"]

Identities = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Leak:
    """Something that is in more than one split.

    Attributes:
        what: A key of the identities, or `pair <A>_<B>`.
        splits: The clips that have it, by split.
    """

    what: str
    splits: dict[str, tuple[str, ...]]

    def sentence(self) -> str:
        """Return a sentence that names the clips and their splits."""
        places = "; ".join(f"{split}: {', '.join(clips)}" for split, clips in self.splits.items())
        return f"{self.what} is in {len(self.splits)} splits ({places})."


def components(identities: Identities, pairs: Iterable[Pair] = ()) -> list[tuple[str, ...]]:
    """Return the connected components of clips: those with a common key, and those of a pair, are connected.

    Returns:
        The ids of each component, sorted; the components are sorted by their first id.
    """
    parent: dict[str, str] = {}

    def find(node: str) -> str:
        root = node
        while parent.setdefault(root, root) != root:
            root = parent[root]
        while parent[node] != root:
            parent[node], node = root, parent[node]
        return root

    for clip, keys in identities.items():
        for key in keys:
            parent[find(f"key {key}")] = find(f"clip {clip}")
    for a, b in pairs:
        parent[find(f"clip {a}")] = find(f"clip {b}")
    members: defaultdict[str, list[str]] = defaultdict(list)
    for clip in sorted(identities):
        members[find(f"clip {clip}")].append(clip)
    return [tuple(clips) for clips in members.values()]


def groups(identities: Identities) -> dict[str, int]:
    """Return the number of the component of each clip, without regard to pairs. Related clips have equal numbers."""
    return {clip: number for number, clips in enumerate(components(identities)) for clip in clips}


def related(pairs: Iterable[Pair], identities: Identities) -> list[Pair]:
    """Return the pairs of two clips that have a common key, directly or through other clips."""
    group = groups(identities)
    return [pair for pair in pairs if group[pair.a] == group[pair.b]]


def leaks(identities: Identities, pairs: Iterable[Pair], split_of: Mapping[str, str]) -> list[Leak]:
    """Return every key and every pair whose clips are in more than one split. Clips without a split are no leak."""
    clips_of: defaultdict[str, list[str]] = defaultdict(list)
    for clip, keys in identities.items():
        for key in keys:
            clips_of[key].append(clip)
    shared = [*sorted(clips_of.items()), *((f"pair {pair.id}", list(pair)) for pair in pairs)]
    found: list[Leak] = []
    for what, clips in shared:
        splits: defaultdict[str, list[str]] = defaultdict(list)
        for clip in sorted(clips):
            if clip in split_of:
                splits[split_of[clip]].append(clip)
        if len(splits) > 1:
            found.append(Leak(what, {name: tuple(members) for name, members in splits.items()}))
    return found


def bridging_pairs(component: Sequence[str], identities: Identities, pairs: Iterable[Pair]) -> list[Pair]:
    """Return the pairs without which a component would fall apart, the ones that halve it best first.

    Args:
        component: The clips of a component.
        identities: The keys of the clips.
        pairs: All pairs.
    """
    inside = set(component)
    group = groups({clip: keys for clip, keys in identities.items() if clip in inside})
    sizes: defaultdict[int, int] = defaultdict(int)
    for number in group.values():
        sizes[number] += 1
    edges = [pair for pair in pairs if pair.a in inside and group[pair.a] != group[pair.b]]
    neighbours: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for index, pair in enumerate(edges):
        neighbours[group[pair.a]].append((group[pair.b], index))
        neighbours[group[pair.b]].append((group[pair.a], index))
    halves = _bridges(neighbours, sizes)
    best = sorted(halves, key=lambda index: (-min(halves[index], len(inside) - halves[index]), edges[index]))
    return [edges[index] for index in best]


def _bridges(neighbours: Mapping[int, Sequence[tuple[int, int]]], sizes: Mapping[int, int]) -> dict[int, int]:
    """Return the edges of a connected graph whose loss would split it (Tarjan), with the size of what is below them.

    Args:
        neighbours: Node and edge for each edge of a node.
        sizes: The weight of each node.
    """
    if not neighbours:
        return {}
    root = min(neighbours)
    entered, low, weight = {root: 0}, {root: 0}, dict(sizes)
    found: dict[int, int] = {}
    stack = [(root, -1, iter(neighbours[root]))]
    while stack:
        node, edge_in, rest = stack[-1]
        for neighbour, edge in rest:
            if edge == edge_in:
                continue
            if neighbour in entered:
                low[node] = min(low[node], entered[neighbour])
            else:
                entered[neighbour] = low[neighbour] = len(entered)
                stack.append((neighbour, edge, iter(neighbours[neighbour])))
                break
        else:
            stack.pop()
            if stack:
                above = stack[-1][0]
                low[above] = min(low[above], low[node])
                weight[above] += weight[node]
                if low[node] > entered[above]:
                    found[edge_in] = weight[node]
    return found
