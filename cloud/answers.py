"""A unit's answer to a request for the picture of a vehicle, opened: of this unit, of this read, as the unit sealed it.

The picture was sealed under the id of its read when the vehicle went by, and signed; the answer names the same id. So a
unit that was taken over can send false pictures of its own reads, as it can send false reads, but nobody can pass one
read's picture off as another's.
"""

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cloud.opening import malformed_is_bad_payload, open_vehicle
from cloud.opening_keys import OpeningKeys
from firmware import picture_requests, sealing
from firmware.faults import DocumentRejected, RejectionCause
from firmware.papers import Paper
from firmware.picture_requests import PictureAnswer, PictureOutcome
from firmware.records import MessageClass, Picture


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedAnswer:
    """What a unit has answered, and the paper in which it came."""

    paper: Paper
    answer: PictureAnswer
    picture: Picture | None = field(repr=False)


def opened(paper: Paper, device_id: str, keys: OpeningKeys, *public_keys: Ed25519PublicKey) -> OpenedAnswer:
    """Return the answer in `paper`, which came from `device_id`, whose keys these are. Raises DocumentRejected."""
    with malformed_is_bad_payload():
        answer = _answer(paper)
        picture = _picture(answer, device_id, keys, *public_keys) if answer.outcome is PictureOutcome.HERE else None
    return OpenedAnswer(paper=paper, answer=answer, picture=picture)


def _answer(paper: Paper) -> PictureAnswer:
    if paper.parts != 1:
        raise DocumentRejected("picture answer: it is in several parts")
    return picture_requests.decode_answer(paper.content)


def _picture(answer: PictureAnswer, device_id: str, keys: OpeningKeys, *public_keys: Ed25519PublicKey) -> Picture:
    """Return the picture in an answer. Raises DocumentRejected."""
    sealed = sealing.from_wire(answer.sealed)
    if sealed.device_id != device_id:
        raise DocumentRejected("picture answer: the picture is another unit's", RejectionCause.OTHER_DEVICE)
    if (sealed.read_id, sealed.message_class) != (answer.read_id, MessageClass.PICTURE):
        raise DocumentRejected("picture answer: the picture is another read's")
    sealing.verify(sealed, *public_keys)
    return open_vehicle(sealed, keys)
