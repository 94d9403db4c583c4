"""MonoGaussianAvatar: Chen et al., "MonoGaussianAvatar: Monocular Gaussian Point-based Head Avatar", SIGGRAPH 2024."""

from trainers.mono_gaussian_avatar.config import IN_STEPS, PRESETS, Config
from trainers.mono_gaussian_avatar.model import MonoGaussianAvatar as Model

__all__ = ["IN_STEPS", "PRESETS", "Config", "Model"]
