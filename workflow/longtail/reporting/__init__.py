"""Tables and figures: published numbers beside computed ones. Never imports torch."""
