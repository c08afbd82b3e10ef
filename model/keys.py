"""Keys as numbers: the index of keys has, in place of a task's name and key, a hash of both.

A key may have 512 characters, and most are hashes of payloads already. With their texts in it the index was as large as the
table, and each submission and each end changed a page of its own in it; with eight bytes a key, hundreds share a page.

A number says where to look. Whether it is the key that was asked for is always read from the row. Two keys that are held at
once and have the same number cannot both be stored: the second is refused by the unique index. For a million held keys the
chance of any such pair is one in 18 million.
"""

import hashlib


def hash_key(name: str, key: str) -> int:
    """The number of a task's name and key: 63 bits, positive, the same in every process."""
    return int.from_bytes(hashlib.blake2b(f"{name}\0{key}".encode(), digest_size=8).digest()) >> 1
