"""The picture in the package's README: the sample's avatar at three moments, drawn by the package's own shaders on a CPU driver.

    python unity_sample/ci/readme_picture.py          writes Documentation~/avatars.jpg
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from formats.codecs import unity_avatar  # noqa: E402
from formats.codecs.packed_texels import pack  # noqa: E402
from formats.render import RenderOptions, default_camera  # noqa: E402
from unity_sample.ci.pictures import picture_of  # noqa: E402
from unity_sample.ci.player import Player  # noqa: E402
from unity_sample.ci.sample import PACKAGE, SAMPLE  # noqa: E402

OUT = PACKAGE / "Documentation~" / "avatars.jpg"
MOMENTS = 56, 168, 228
"""Frames of the stand-in's clip: speaking, turning, smiling."""
WIDTH, HEIGHT, SMALLER = 720, 900, 2
"""Pixels of each part as it is drawn, and by how much it is made smaller."""
GROUND = (0.90, 0.91, 0.93)
"""Of the sample's camera."""


def draw() -> Image.Image:
    """Return the picture."""
    avatar = unity_avatar.read(SAMPLE / "BasicAvatar.flameavatar")
    player, sequence, parts = Player(pack(avatar, "half")), avatar.sequence, []
    assert sequence is not None
    camera = default_camera(avatar, WIDTH, HEIGHT)
    for moment in MOMENTS:
        player.look(sequence.sample(moment), camera, RenderOptions(), 32)
        player.pose()
        player.project()
        rgba = picture_of(player, player.order(32), WIDTH, HEIGHT)
        parts.append(rgba[..., :3] + (1 - rgba[..., 3:]) * np.array(GROUND))
    pixels = np.round(np.clip(np.concatenate(parts, axis=1), 0, 1) * 255).astype(np.uint8)
    return Image.fromarray(pixels).resize((len(MOMENTS) * WIDTH // SMALLER, HEIGHT // SMALLER), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    OUT.parent.mkdir(exist_ok=True)
    draw().save(OUT, quality=88, optimize=True)
    sys.stdout.write(f"{OUT.relative_to(ROOT)}: {OUT.stat().st_size} bytes\n")
