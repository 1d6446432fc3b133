"""A page on the disk that renews itself in a browser: no server, no port. Each file is replaced by one rename.

Owns how the page gets at what is new: a file on a disk may load a script and no JSON, so the state is a script that
calls `show` of the page with one object.
"""

import json
from pathlib import Path
from typing import Any

RENEWED_EVERY_MS = 200

LOADER = f"""function load() {{
  const script = document.createElement("script");
  script.src = "state.js?" + Date.now();
  script.onload = script.onerror = () => {{ script.remove(); setTimeout(load, {RENEWED_EVERY_MS}); }};
  document.head.append(script);
}}
load();
"""
"""JavaScript that a page ends with; before it, the page has a function `show(state)`."""


class LivePage:
    """A folder with `index.html`, which loads `state.js` again and again, and what else belongs to them."""

    def __init__(self, folder: Path, page: str) -> None:
        """Write the page into `folder`, which is made for its owner alone if it is not there. Raises OSError."""
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / "index.html").write_text(page, encoding="utf-8")

    @property
    def page(self) -> Path:
        """The file to open in a browser."""
        return self._folder / "index.html"

    def show(self, state: dict[str, Any]) -> None:
        """Let the page show a new state. Raises OSError."""
        # json.dumps leaves nothing that could end the script.
        self.replace("state.js", f"show({json.dumps(state)})".encode())

    def replace(self, name: str, data: bytes) -> None:
        """Put a file beside the page, whole or not at all. Raises OSError."""
        partial = self._folder / f".{name}.partial"
        partial.write_bytes(data)
        partial.replace(self._folder / name)
