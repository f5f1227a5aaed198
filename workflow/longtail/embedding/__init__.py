"""Splits through trained networks, and the features of controls, which need none."""
