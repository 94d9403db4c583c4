"""GaussianAvatars: Qian et al., "GaussianAvatars: Photorealistic Head Avatars with Rigged 3D Gaussians", CVPR 2024."""

from trainers.gaussian_avatars.config import IN_STEPS, PRESETS, Config
from trainers.gaussian_avatars.head import head_of
from trainers.gaussian_avatars.model import GaussianAvatars as Model

__all__ = ["IN_STEPS", "PRESETS", "Config", "Model", "head_of"]
