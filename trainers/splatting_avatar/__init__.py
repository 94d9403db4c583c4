"""SplattingAvatar: Shao et al., "SplattingAvatar: Realistic Real-Time Human Avatars with Mesh-Embedded Gaussian Splatting",
CVPR 2024."""

from trainers.splatting_avatar.config import IN_STEPS, PRESETS, Config
from trainers.splatting_avatar.model import SplattingAvatar as Model

__all__ = ["IN_STEPS", "PRESETS", "Config", "Model"]
