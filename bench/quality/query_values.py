"""The values of one measure by query, 8 bytes each: a dict of them takes twenty times as much."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence


class QueryValues(Mapping[str, float]):
    """Query id -> value. `places` says where each query's value is; measures of the same queries
    share it.
    """

    def __init__(self, places: Mapping[str, int], values: array[float]) -> None:
        if len(places) != len(values):
            raise ValueError(f"{len(values)} values for {len(places)} queries")
        self.places = places
        self.array = values

    def __getitem__(self, query_id: str) -> float:
        return self.array[self.places[query_id]]

    def __contains__(self, query_id: object) -> bool:
        return query_id in self.places

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)

    @property
    def mean(self) -> float:
        """The mean over queries; 0 where there are none."""
        return sum(self.array) / len(self.array) if self.array else 0.0

    def __repr__(self) -> str:
        return f"<{len(self)} queries, mean {self.mean:.4f}>"


def places_of(query_ids: Iterable[str]) -> dict[str, int]:
    """Return each query's place in their order. Raises ValueError for one that comes twice."""
    places: dict[str, int] = {}
    for query_id in query_ids:
        if query_id in places:
            raise ValueError(f"query '{query_id}' comes twice")
        places[query_id] = len(places)
    return places


class SharedPlaces:
    """The places of queries, the same mapping for values of the same queries."""

    def __init__(self) -> None:
        self._known: list[Mapping[str, int]] = []

    def of(self, query_ids: Sequence[str]) -> Mapping[str, int]:
        """Return each query's place. Raises ValueError for one that comes twice."""
        for places in self._known:
            if len(places) == len(query_ids) and all(map(str.__eq__, places, query_ids)):
                return places
        places = places_of(query_ids)
        self._known.append(places)
        return places
