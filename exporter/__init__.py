"""From an avatar to files that other programs open, and the proof of what they lost."""
