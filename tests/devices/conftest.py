"""Trainings of toys, as the tests of ``training`` have them."""

from tests.training.conftest import desk, tools

__all__ = ["desk", "tools"]
