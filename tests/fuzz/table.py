"""All decoders of bytes from outside."""

from tests.fuzz.brought import BROUGHT
from tests.fuzz.documents import DOCUMENTS
from tests.fuzz.files_and_frames import FILES_AND_FRAMES
from tests.fuzz.pictures_and_health import PICTURES_AND_HEALTH
from tests.fuzz.streams import STREAMS
from tests.fuzz.tables import TABLES

TARGETS = {
    target.name: target for target in (*DOCUMENTS, *STREAMS, *FILES_AND_FRAMES, *PICTURES_AND_HEALTH, *TABLES, *BROUGHT)
}
