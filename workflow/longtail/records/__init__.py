"""Finished cells that a clone carries: one small Parquet file per training, and what of it a table may use."""
