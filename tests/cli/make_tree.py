"""Makes directory trees: random ones with all that can lie in one, and big plain ones.

Also by hand:

python tests/cli/make_tree.py FOLDER --directories 100000
python tests/cli/make_tree.py FOLDER --random 7
"""

import argparse
import os
import random
from pathlib import Path
from typing import Final

ODD_NAMES: Final = [
    os.fsdecode(name)
    for name in (
        *(b"new\nline.txt", b"caf\xe9.Txt", b"\xff\xfe", "gr\u00fc\u00df.PDF".encode(), b"back\\slash.c", b"\\x41.c"),
        *(b"esc\x1b[31m.h", b" ", b"...", b".hidden", b"-rf", b"tab\t.d", b"two.dots.tar.gz", b"quote'\".py", b"a.*"),
        *(b"x." + b"e" * 100, b"n" * 255, b"\xc3\xa9.\xe9", b"*.*"),
    )
]
BRANCHES: Final = 10


def make_random_tree(root: Path, seed: int, *, directories: int = 60, files: int = 300) -> None:
    """A tree with hard links (within and across directories, of files and of others), symbolic links short and long, to
    nothing, to a file, to a directory and to the tree itself, pipes, sparse and empty files, and odd names.
    """
    rng = random.Random(seed)
    root.mkdir()
    folders = [root]
    for number in range(directories - 1):
        folders.append(rng.choice(folders) / _name(rng, number, "d"))
        folders[-1].mkdir()
    made: list[Path] = []
    for number in range(files):
        path = rng.choice(folders) / _name(rng, number, "f")
        _make_entry(rng, path, made, folders)
        made.append(path)


def _name(rng: random.Random, number: int, prefix: str) -> str:
    if rng.random() < 0.2:
        return f"{prefix}{number}{rng.choice(ODD_NAMES)[:200]}"
    return f"{prefix}{number}{rng.choice(('', '.txt', '.TXT', '.py', '.gz', '.a.b', f'.{number}'))}"


def _make_entry(rng: random.Random, path: Path, made: list[Path], folders: list[Path]) -> None:
    kind = rng.random()
    if kind < 0.25 and made:
        os.link(rng.choice(made), path, follow_symlinks=False)
    elif kind < 0.35:
        path.symlink_to(rng.choice(["nowhere", "long/" * 30, rng.choice(folders), rng.choice([*made, "/"])]))
    elif kind < 0.4:
        os.mkfifo(path)
    elif kind < 0.45:
        path.touch()
        os.truncate(path, rng.randrange(1 << 30))
    else:
        path.write_bytes(b"x" * rng.choice((0, 1, 511, 4096, 4097, 100_000)))


def make_odd_names(root: Path) -> None:
    """A directory with a file of each odd name, and a directory of nearly each."""
    root.mkdir()
    for number, name in enumerate(ODD_NAMES):
        below = root / f"{number}{name[:200]}"
        below.mkdir()
        (below / name).write_bytes(os.fsencode(name))


def make_deep_tree(root: Path, depth: int, *, name: str = "d" * 200) -> None:
    """Directories in one another, a file in each. Paths may grow beyond what one system call takes."""
    root.mkdir()
    descriptor = os.open(root, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=descriptor)
        below = os.open(name, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
        os.close(os.open("file.txt", os.O_CREAT | os.O_WRONLY, dir_fd=descriptor))
    os.close(descriptor)


def make_plain_tree(root: Path, directories: int, *, files: int = 1) -> None:
    """Directory n holds some small files and the directories 10n+1 to 10n+10, as far as there are so many."""
    paths: list[str] = []
    for number in range(directories):
        path = f"{paths[(number - 1) // BRANCHES]}/d{number}" if number else str(root)
        os.mkdir(path)  # noqa: PTH102 - strings are twice as fast here
        for index in range(files):
            descriptor = os.open(f"{path}/f{index}.txt", os.O_CREAT | os.O_WRONLY)
            os.write(descriptor, b"x" * 100)
            os.close(descriptor)
        paths.append(path)


def make_unreadable(root: Path) -> None:
    """One directory that cannot be read, one that can be listed but not entered, and one that can only be entered."""
    root.mkdir()
    for name, mode in (("closed", 0o000), ("listed", 0o444), ("entered", 0o111)):
        (root / name / "below").mkdir(parents=True)
        (root / name / "file").write_bytes(b"x" * 10)
        (root / name / "link").symlink_to("file")
        (root / name).chmod(mode)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument("--directories", type=int, metavar="N")
    kind.add_argument("--random", type=int, metavar="SEED")
    given = parser.parse_args()
    if given.directories is not None:
        make_plain_tree(given.folder, given.directories)
    else:
        make_random_tree(given.folder, given.random)


if __name__ == "__main__":
    main()
