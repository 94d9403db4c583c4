"""What every capture carries besides its layout: a tag that says what it is, and the head it was tracked with."""

from pathlib import Path

from formats.captures.shots import Film
from formats.codecs import head_file
from formats.codecs.json_file import write_json

TAG, HEAD = "capture.json", "head.safetensors"


def write_tag(film: Film, layout: str, folder: Path) -> None:
    """Write `capture.json` and `head.safetensors` into `folder`.

    The tag says which edition the coefficients are in, so that nobody takes them for FLAME's, and for each moment of the
    test take why it is held out. Of a rig it also lists the cameras of each take, all of which see each of its moments, and
    those that are for testing only.
    """
    rigs = {take.split: list(take.cameras) for take in film.takes if take.cameras}
    head_file.write(film.head, folder / HEAD)
    write_json({
        "written_by": "flameport",
        "layout": layout,
        "edition": film.head.edition,
        "head": film.head.content_hash,
        "subject": film.name,
        "seed": film.seed,
        "fps": film.fps,
        "frames": {take.split: len(take.sequence) // take.views for take in film.takes},
        "held_out": [label for take in film.takes if take.split == "test" for label in take.labels[::take.views]],
        **({"cameras": rigs, "held_out_cameras": list(film.held_out_cameras)} if rigs else {}),
    }, folder / TAG)
