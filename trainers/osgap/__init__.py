"""OSGAP's encoder: a portrait and a fine-tuned checkpoint become attribute maps, and those an avatar.

Training OSGAP's prior is not in this version; `formats.importers.osgap` reads what its programs leave. Only the encoder needs
torch, which is loaded when `import_with_image` is called.
"""

from collections.abc import Mapping
from pathlib import Path

from formats.avatar import Avatar
from formats.errors import MissingAsset
from formats.head_model import HeadModel
from formats.importers import flame_rig, osgap, side_files


def import_with_image(path: Path, head: HeadModel | None, sides: Mapping[str, Path] | None = None, *,
                      as_original: bool = False, edition: str = flame_rig.EDITION, fps: float = flame_rig.FPS,
                      color_space: str = "auto", size: int = osgap.SIZE) -> Avatar:
    """Return the avatar that a fine-tuned encoder makes of a portrait; for other files what `formats.importers.osgap` does.

    Args:
        path: `model_<iteration>.pth` of OSGAP's fine-tuning.
        head: FLAME 2023 with texture coordinates, with or without teeth.
        sides: `image`, the portrait; and `flame_param`, the person's shape and clip, where `flame_param.npz` is not beside PATH.
        as_original: Changes nothing.
        edition: What the person was tracked with.
        fps: Frame rate of the clip.
        color_space: `rgb`, as OSGAP draws colours and `auto` takes them, or `sh_dc`.
        size: Texels across: one Gaussian for each that is covered. 256 is the network's own.

    Raises:
        MissingAsset: torch, a file, the head or a side input is missing.
        FormatError: A file is damaged.
        CheckpointMismatch: Checkpoint, head and `flame_param` do not belong together.
        UnsupportedFeature: A checkpoint of the older network, or an unknown option.
    """
    path, sides = Path(path), sides or {}
    if path.suffix not in osgap.CHECKPOINTS:
        return osgap.read(path, head, sides, as_original=as_original, edition=edition, fps=fps, color_space=color_space,
                          size=size)
    side_files.check_names(path, sides, osgap.SIDES)
    portrait = side_files.find(path, sides, "image", ())
    if portrait is None:
        raise MissingAsset(f"{path}: an encoder, which makes an avatar of a portrait; pass --side image=PORTRAIT")
    require_torch(path)
    # Encoding takes long enough that what is missing should be said first.
    flame_rig.bare_head(head, edition, osgap.SYSTEM, path)
    flame_rig.find_param(path, sides, osgap.beside(path))
    from trainers.osgap.encode import encode

    maps = encode(path, portrait, size)
    return osgap.avatar_of_maps(maps, head, sides, where=path, color_space="rgb" if color_space == "auto" else color_space,
                                edition=edition, fps=fps)


def require_torch(path: Path) -> None:
    """Raise `MissingAsset` unless torch can be imported."""
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingAsset(f"{path}: an encoder, which runs in torch: pip install 'flameport[train]' ({error})") from error
