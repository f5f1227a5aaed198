"""Objectives that see no label: one file per method or family."""
