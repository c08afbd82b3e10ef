"""What lists and counts of tasks are asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from millrace.model.tags import NO_TAGS


@dataclass(frozen=True, slots=True)
class Filters:
    """All that is given must hold; None, an empty mapping and an empty prefix let everything pass."""

    statuses: frozenset[str] | None = None
    """Any of these."""
    names: tuple[str, ...] | None = None
    """Any of these qualified task names."""
    domain: str | None = None
    group: str | None = None
    parent: int | None = None
    tags: Mapping[str, str] = field(default_factory=lambda: NO_TAGS)
    """All of these pairs."""
    tag_prefix: str = ""
    """Some tag's key begins so."""
    key: str | None = None
    error: str | None = None
    """A part of the error's text, case-sensitive."""
    created_from_ms: int | None = None
    """Submitted at this time or later ..."""
    created_before_ms: int | None = None
    """... and before this one."""
    unrepeated: bool = False
    """Without those that have been repeated by hand, as long as the repetition is there."""

    @property
    def is_by_status_alone(self) -> bool:
        """Whether nothing else is asked for."""
        rest = (
            *(self.names, self.domain, self.group, self.parent, self.key),
            *(self.error, self.created_from_ms, self.created_before_ms),
        )
        return all(one is None for one in rest) and not (self.tags or self.tag_prefix or self.unrepeated)
