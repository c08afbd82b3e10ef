"""Readings of the machine, smoothed: S-285, S-289."""

from dataclasses import dataclass
from math import isfinite
from typing import Final

from millrace.model.limits import ResourceSnapshot

NEW_PART: Final = 0.3
"""Of a new reading in the smoothed one."""
OUT_OF_DATE_S: Final = 10.0
"""What was last heard so long ago counts no more."""


@dataclass(slots=True)
class Average:
    """A moving average of one number; the first reading as it is, and the first after a gap that is too long."""

    value: float = 0.0
    at: float | None = None

    def add(self, number: float, now: float) -> float:
        """Take a reading in."""
        if self.at is None or now - self.at >= OUT_OF_DATE_S:
            self.value = number
        else:
            self.value = NEW_PART * number + (1 - NEW_PART) * self.value
        self.at = now
        return self.value

    def at_time(self, now: float) -> float | None:
        """The smoothed number; None where none came for too long."""
        return None if self.at is None or now - self.at >= OUT_OF_DATE_S else self.value


def bytes_of(snapshot: ResourceSnapshot) -> tuple[float | None, float | None, float | None, float | None]:
    """Bytes a second as disk read, disk write, net rx, net tx; None where the sampler gave no number."""
    return (
        number_of(snapshot.disk_read_bps),
        number_of(snapshot.disk_write_bps),
        number_of(snapshot.net_rx_bps),
        number_of(snapshot.net_tx_bps),
    )


def number_of(value: object) -> float | None:
    """A finite number of 0 or more; None for anything else that a sampler may give."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if isfinite(number) and number >= 0 else None
