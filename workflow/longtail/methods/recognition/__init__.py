"""Objectives that are given the true classes of the training images."""
