"""Losses as functions of tensors, which objectives of either half share."""
