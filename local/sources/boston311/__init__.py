"""The Boston 311 portal on this machine: simulated, from files, or relayed from the internet."""

from local.sources.boston311.choice import ChoiceError
from local.sources.boston311.portal import Portal, start

__all__ = ["ChoiceError", "Portal", "start"]
