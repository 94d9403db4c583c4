"""Training, on the CPU where it can."""
