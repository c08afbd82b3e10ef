"""The work of one worker process: a module by itself, so that a process that knows nothing of the tests can import it."""

from pathlib import Path

from world import play


def play_some(seeds: range, directory: Path) -> list[str]:
    """Play these; what went wrong, a line with a way to play it again for each seed that did."""
    found: list[str] = []
    for seed in seeds:
        try:
            play(seed, directory)
        except Exception as error:  # any at all is a finding
            replay = f"MILLRACE_SEEDS={seed} pytest tests/simulation -k every_seed"
            found.append(f"seed {seed}: {type(error).__name__}: {error}\n  replay: {replay}")
    return found
