"""What runs move, as the store keeps it: one JSON list [disk_read, disk_write, net_rx, net_tx] of bytes, None for unknown."""

from typing import Final

import msgspec

from millrace.model.records import IoBudget

NO_IO: Final = IoBudget()

_decode = msgspec.json.Decoder(tuple[int, int, int, int]).decode
_encode = msgspec.json.Encoder().encode


def decode_io(text: str | None) -> IoBudget:
    """A budget from a row's column; unknown is nothing."""
    return NO_IO if text is None else IoBudget(*_decode(text))


def encode_io(io: IoBudget | None) -> str | None:
    """A row's column from a budget."""
    if io is None:
        return None
    return _encode((io.disk_read, io.disk_write, io.net_rx, io.net_tx)).decode()
