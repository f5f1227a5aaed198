"""The science: losses, and objectives, one file per method or per family whose members differ by a line."""
