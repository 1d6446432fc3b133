"""The technician's tool: from a blank card to a unit that the fleet trusts."""
