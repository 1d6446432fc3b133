"""Letters seven dots high, for what must be read on a terminal from two metres away.

The shapes are those of five columns that every character display has (Hitachi HD44780 and its kin).
"""

import unicodedata

import numpy as np

from firmware.records import Grey

HEIGHT = 7
_SPACE_COLUMNS = 2
_COLUMNS = {
    "0": "3e5149453e", "1": "427f40", "2": "4261514946", "3": "2141454b31", "4": "1814127f10", "5": "2745454539",
    "6": "3c4a494930", "7": "0171090503", "8": "3649494936", "9": "064949291e", "A": "7e1111117e", "B": "7f49494936",
    "C": "3e41414122", "D": "7f4141221c", "E": "7f49494941", "F": "7f09090901", "G": "3e4149497a", "H": "7f0808087f",
    "I": "417f41", "J": "2040413f01", "K": "7f08142241", "L": "7f40404040", "M": "7f020c027f", "N": "7f0408107f",
    "O": "3e4141413e", "P": "7f09090906", "Q": "3e4151215e", "R": "7f09192946", "S": "4649494931", "T": "01017f0101",
    "U": "3f4040403f", "V": "1f2040201f", "W": "3f4038403f", "X": "6314081463", "Y": "0708700807", "Z": "6151494543",
    # Spanish: five dots high, with the accent above
    "Á": "7814151578", "É": "7c54555544", "Í": "447d45", "Ñ": "7c0911217c", "Ó": "3844454538", "Ú": "3c4041413c",
    "°": "06090906",
}  # fmt: skip


def dots_of(text: str) -> Grey:
    """Return the text as dots, uint8 (HEIGHT, columns) of 0 and 1; accents that are not Spanish's are left out.

    Other signs are blank.
    """
    columns: list[int] = []
    for sign in unicodedata.normalize("NFC", text.upper()):
        plain = sign if sign in _COLUMNS else unicodedata.normalize("NFD", sign)[0]
        columns += [*bytes.fromhex(_COLUMNS[plain]), 0] if plain in _COLUMNS else [0] * _SPACE_COLUMNS
    bits = np.array(columns or [0], np.uint8)[None, :] >> np.arange(HEIGHT, dtype=np.uint8)[:, None]
    return np.asarray(bits & 1, np.uint8)
