"""Where images come from, how the tail is cut, how they are stored and augmented."""
