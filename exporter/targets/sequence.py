"""The avatar's clip by itself: JSON that people can read, or its binary twin when the name ends in .fpsq.

`.flameseq` is the same JSON under an ending that is nobody else's: the Unity package imports it and `.fpsq` as clips.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from exporter.capabilities import Capabilities
from exporter.ops.resample import resample
from formats.avatar import Avatar
from formats.codecs import sequence_binary, sequence_json
from formats.errors import FormatError, MissingAsset
from formats.sequence import Sequence

CAPABILITIES = Capabilities(subject="clip")
WRITERS = {".json": sequence_json.write, ".fpsq": sequence_binary.write, ".flameseq": sequence_json.write}


@dataclass(frozen=True)
class Options:
    """How the clip is stored."""

    fps: float | None = None
    """Frames per second; the clip's own rate when absent."""


def write(avatar: Avatar, out: Path, options: Options) -> list[Path]:
    """Write the avatar's clip to `out` and return its path.

    Raises:
        MissingAsset: The avatar has no clip.
        FormatError: The name ends in none of `WRITERS`.
    """
    sequence = avatar.sequence
    if sequence is None:
        raise MissingAsset("sequence: the avatar has no clip of its own; give one with --sequence")
    if options.fps is not None:
        sequence = resample(sequence, options.fps)
    if not sequence.expr_names and sequence.expr.shape[1] == len(avatar.head.expr_names):
        sequence = dataclasses.replace(sequence, expr_names=avatar.head.expr_names)
    return [write_sequence(sequence, out)]


def write_sequence(sequence: Sequence, out: Path) -> Path:
    """Write `sequence` as the name of `out` says, and return its path."""
    out = Path(out)
    writer = WRITERS.get(out.suffix.lower())
    if writer is None:
        raise FormatError(f"{out}: a sequence is written as {', '.join(WRITERS)}; end the name of --out in one of them")
    writer(sequence, out)
    return out
