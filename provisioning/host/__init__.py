"""The machine around the camera service: what is enforced on a unit besides the service itself.

`files/` is laid out as on the unit; a name that ends in `.in` is filled in from the unit's configuration.
"""

from pathlib import PurePosixPath
from typing import Final

UNIT_FOLDER: Final = PurePosixPath("var/lib/kestrel")
"""Where a unit's own folder lies below its root."""
