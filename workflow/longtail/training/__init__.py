"""The training loop with everything around it."""
