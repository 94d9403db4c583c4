"""FlashAvatar and its Wasserstein variant: Xiang et al., "FlashAvatar: High-fidelity Head Avatar with Efficient Gaussian
Embedding", CVPR 2024; Deng et al., "Physics of Motion, Geometry of Cohesion", IEEE Signal Processing Letters 2025."""

from trainers.flash_avatar.config import IN_STEPS, PRESETS, Config
from trainers.flash_avatar.head import head_of
from trainers.flash_avatar.model import FlashAvatar as Model

__all__ = ["IN_STEPS", "PRESETS", "Config", "Model", "head_of"]
