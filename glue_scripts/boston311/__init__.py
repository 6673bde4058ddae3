"""Boston 311's published rows: the shapes they come in, the clocks they show, and how they are cleaned."""
