"""What to compute: configuration, catalogue, cells, phases, paths. Imports nothing that costs more than a moment."""
