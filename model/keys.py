"""Keys as numbers: the index of keys has, in place of a task's name and key, a hash of both.

A key may have 512 bytes, and most are hashes of payloads already. With their texts in it the index was as large as the
table, and each submission and each end changed a page of its own in it; with eight bytes a key, hundreds share a page.

A number says where to look. Whether it is the key that was asked for is always read from the row. Two keys that are held at
once and have the same number cannot both be stored: the unique index refuses the second, and what is stored with it. For a
million held keys the chance of any such pair is one in 18 million. Nobody can look for such pairs, to have the tasks of others
refused: each store hashes with a salt of its own, which was drawn when it was made.
"""

import hashlib
from functools import lru_cache


def hash_key(salt: int, name: str, key: str) -> int:
    """The number of a task's name and key in the store of that salt: 63 bits, positive, the same in every process."""
    digest = hashlib.blake2b(f"{name}\0{key}".encode(), digest_size=8, salt=_salt_bytes(salt)).digest()
    return int.from_bytes(digest) >> 1


@lru_cache(maxsize=64)
def _salt_bytes(salt: int) -> bytes:
    return salt.to_bytes(8, signed=True)
