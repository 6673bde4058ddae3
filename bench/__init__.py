"""Measures, side by side with what one would otherwise pick. Never part of the tests."""
