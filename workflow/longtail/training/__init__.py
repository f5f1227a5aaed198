"""The training loop with everything around it, and the embedding of what it has trained."""
