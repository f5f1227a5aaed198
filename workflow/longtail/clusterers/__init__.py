"""Clustering algorithms on arrays."""
