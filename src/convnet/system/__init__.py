"""Files, processes, locks and the terminal: what we ask of the operating system."""
