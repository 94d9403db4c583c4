"""FateAvatar: Zhang et al., "FATE: Full-head Gaussian Avatar with Textural Editing from Monocular Video", CVPR 2025."""

from trainers.fate_avatar.bake import bake
from trainers.fate_avatar.config import IN_STEPS, PRESETS, Config
from trainers.fate_avatar.model import FateAvatar as Model

__all__ = ["IN_STEPS", "PRESETS", "Config", "Model", "bake"]
