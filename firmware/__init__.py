"""The camera service: sees, reads, seals and publishes. It knows nothing of simulation."""

VERSION = "0.1.0"
"""Of this firmware; health tells it. setup.py says the same."""
