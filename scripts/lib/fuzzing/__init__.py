"""The parts of ``fuzz``: how inputs are made, and what they are fed to."""
