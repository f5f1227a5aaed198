"""The page that holds what is recorded against what is printed."""
