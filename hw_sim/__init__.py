"""The other board: a simulated road, sensors and link for the same camera service."""
