"""Training: the only room that imports torch. Empty until the first trainer lands; the README's table says when."""
