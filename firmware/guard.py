"""The guard: decides that this unit is to be erased, and does it.

Two things can say so: the tamper contact, whose level is looked at until it has held still, and the fleet's signed
command. Then the order is fixed: the mark on the disk, the last word to the link (which never waits), the key, the
rest. Nothing the network or another stage does can hold that up.
"""

import contextlib
import logging
import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from firmware import erasure
from firmware.faults import DeviceFault, DocumentRejected, FaultBook, FaultCode
from firmware.ports import Clock, KeyStore, Link, TamperContact
from firmware.retirement import Cause, RetiredNotice, sign_notice, verify_command
from firmware.stage import Mailbox
from firmware.topics import retired_topic

HELD_S: Final = 0.05
"""A contact that shows the unit open for so long is no bounce: those of snap-action switches last 10 ms at most."""

LOOK_AGAIN_S: Final = 0.01
"""How often a contact that may be bouncing is looked at."""

LOOK_S: Final = 0.25
"""How often it is looked at anyway, should an edge have been lost."""

RETRY_S: Final = 60.0
"""When a line that could not be opened is tried again, because a technician may be plugging it in."""

ERASE_AGAIN_S: Final = 1.0
"""When erasing is tried again after the disk refused."""

COMMANDS_WAITING: Final = 8
NOTICE_TOKEN: Final = -1
"""Names the last word to the link; no read has it."""

NOTICE_EXPIRY_S: Final = 30 * 86_400

LOG = logging.getLogger(__name__)


class GuardStage:
    """Watches contact and commands. Counters for the health report: `rejected_commands`."""

    name = "guard"

    def __init__(
        self,
        folder: Path,
        contact: TamperContact | None,
        link: Link,
        *,
        device_id: str,
        device_key: Ed25519PrivateKey,
        keys: KeyStore,
        retirement_key: Ed25519PublicKey,
        clock: Clock,
        faults: FaultBook,
    ) -> None:
        self.wake = threading.Event()
        self.commands: Mailbox[bytes] = Mailbox(self.wake, COMMANDS_WAITING)
        self.rejected_commands = 0
        self.is_over = threading.Event()  # set when nothing of this unit is left
        self._folder = folder
        self._contact = contact
        self._link = link
        self._device_id = device_id
        self._keys = keys
        self._sign: Callable[[bytes], bytes] = device_key.sign
        self._own_key = device_key.public_key()
        self._retirement_key = retirement_key
        self._clock = clock
        self._faults = faults
        self._is_listening = False
        self._listen_at_s = -math.inf
        self._open_since_s: float | None = None
        self._cause: Cause | None = None

    def step(self, now_s: float) -> float:
        """Look at the contact, read commands; erase if it is time. Return when to look again."""
        if self._cause is None:
            self._cause = self._commanded() or self._tampered(now_s)
            if self._cause is not None:
                self._announce(self._cause)
        if self._cause is not None:
            return self._erase(self._cause, now_s)
        if self._open_since_s is not None:
            return now_s + LOOK_AGAIN_S
        return now_s + LOOK_S if self._is_listening else self._listen_at_s

    def close(self) -> None:
        """Give the contact's line back."""
        if self._contact is not None and self._is_listening:
            self._contact.close()

    def _commanded(self) -> Cause | None:
        while (document := self.commands.take()) is not None:
            now_utc_ms = self._clock.utc_ms() if self._clock.is_trusted() else None
            try:
                verify_command(document, self._retirement_key, self._device_id, self._own_key, now_utc_ms=now_utc_ms)
            except DocumentRejected as rejected:
                self.rejected_commands += 1
                LOG.warning("a command was dropped: %s", rejected)
            else:
                return Cause.COMMAND
        return None

    def _tampered(self, now_s: float) -> Cause | None:
        """Return the cause once the contact has shown the unit open for HELD_S, each time that it was looked at."""
        if self._contact is None:
            self._listen_at_s = math.inf
            return None
        try:
            if not self._is_listening and now_s >= self._listen_at_s:
                self._listen_at_s = now_s + RETRY_S
                self._contact.listen(self.wake)
                self._is_listening = True
            is_open = self._is_listening and self._contact.is_tampered()
        except DeviceFault as fault:
            self._faults.tell(fault, now_s, LOG)
            return None
        if self._is_listening:
            self._faults.clear(FaultCode.TAMPER_ABSENT)
        if not is_open:
            self._open_since_s = None
            return None
        if self._open_since_s is None:
            self._open_since_s = now_s
        return Cause.TAMPER if now_s - self._open_since_s >= HELD_S else None

    def _announce(self, cause: Cause) -> None:
        """Leave the mark, so that a power cut from here on only delays; then say the last word, if anybody hears it."""
        LOG.critical("this unit erases itself now; cause: %s", cause)
        with contextlib.suppress(OSError):  # a full disk; erasing makes room and tries again
            erasure.leave_mark(self._folder, cause)
        notice = RetiredNotice(device_id=self._device_id, cause=cause, at_utc_ms=self._clock.utc_ms())
        document = sign_notice(notice, self._sign)
        self._link.publish(retired_topic(self._device_id), document, NOTICE_TOKEN, NOTICE_EXPIRY_S)

    def _erase(self, cause: Cause, now_s: float) -> float:
        """Erase, again if the disk refused; then there is nothing left to guard."""
        try:
            erasure.erase(self._folder, cause, self._keys)
        except DeviceFault as fault:
            self._faults.tell(fault, now_s, LOG)
            return now_s + ERASE_AGAIN_S
        self.is_over.set()
        return math.inf
