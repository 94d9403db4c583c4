"""Write valid files for readers to begin with: FOLDER/NAME/place is what lies beside, FOLDER/NAME/corpus the seeds.

In a process of its own: torch writes some of them, and has no place in one whose memory is bounded.
"""

import shutil
import sys
import zipfile
from pathlib import Path

from tests.fuzz.readers import READERS


def main(folder: Path, names: list[str]) -> None:
    """Write the seeds of the named readers."""
    for name in names:
        place = folder / name.replace(" ", "-")
        if (place / "place").is_dir():
            shutil.rmtree(place / "place")
        (place / "place").mkdir(parents=True)
        (place / "corpus").mkdir(exist_ok=True)
        try:
            file = READERS[name].write(place / "place")
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            file = place / "place" / "x"
            file.write_bytes(b"PK\x03\x04")
        (place / "file.txt").write_text(file.relative_to(place / "place").as_posix())
        data = file.read_bytes()
        (place / "corpus" / "valid").write_bytes(data)
        (place / "corpus" / "half").write_bytes(data[:len(data) // 2])
        if data.startswith(b"PK"):
            # Without checksums in the way: the members as they are, which a mutation of the zip rarely reaches.
            with zipfile.ZipFile(file) as archive:
                for i, info in enumerate(archive.infolist()):
                    (place / "corpus" / f"member{i}").write_bytes(archive.read(info))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
