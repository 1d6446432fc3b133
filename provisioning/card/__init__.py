"""A card with Raspberry Pi OS Lite becomes a unit's: what is needed for it is fetched into a bundle, then installed.

The same steps check and install: each says what is missing, and does only that. So a second time changes nothing, and
an installation that was killed goes on where it was. Everything of the card's own runs inside the card's root.
"""
