"""The camera service: sees, reads, seals and publishes. It knows nothing of simulation."""
