"""The real parts of a unit: the only imports of hardware and network libraries."""
