"""From embeddings to assignments, metrics and projections: files in, files out."""
