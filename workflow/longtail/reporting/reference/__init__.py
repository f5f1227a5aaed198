"""Pages of reference for readers, out of the catalogue and its schemas alone."""
