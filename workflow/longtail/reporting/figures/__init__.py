"""Figures: the command, the style of all, and a file for each way of drawing."""
