"""CoinMarketCap's API on this machine: a simulated market, answers kept in files, or relayed from the internet."""

from local.sources.coinmarketcap.choice import TEST_KEY, ChoiceError
from local.sources.coinmarketcap.server import Server, start

__all__ = ["TEST_KEY", "ChoiceError", "Server", "start"]
