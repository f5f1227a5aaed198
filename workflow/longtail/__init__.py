"""Long-tailed learning, from raw images to the tables of the papers."""

__version__ = "0.2.0"
