"""The machine around the camera service: what is enforced on a unit besides the service itself.

`files/` is laid out as on the unit; a name that ends in `.in` is filled in from the unit's configuration.
"""
