"""The `lake` command: the outermost ring, which may import everything. Modules import heavy libraries when they need them."""
