"""One connection to D-Bus's system bus, made when it is needed and made again when it is lost. It calls, nothing else.

Raw messages and no introspection: what is called and what is answered is written where it is used, and an answer of
another type than it should have is an error here and not a surprise later.
"""

import asyncio
import contextlib
import enum
import re
from typing import Any, Final

from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.errors import AuthError, DBusError, InvalidAddressError, InvalidMessageError, InvalidSignatureError

from firmware.faults import KestrelError

SYSTEM_BUS: Final = "unix:path=/run/dbus/system_bus_socket"

PROPERTIES: Final = "org.freedesktop.DBus.Properties"

_NOBODY: Final = re.compile(
    r"org\.freedesktop\.DBus\.Error\.(ServiceUnknown|NameHasNoOwner|UnknownObject|UnknownMethod|UnknownInterface|Spawn\..*)"
)
_SILENT: Final = re.compile(r"org\.freedesktop\.DBus\.Error\.(NoReply|Timeout|TimedOut|Disconnected)")
_KNOWN: Final = re.compile(r"org\.freedesktop\.(DBus|ModemManager1|PolicyKit1|login1)\.[A-Za-z.]{1,80}")


class CallFlaw(enum.StrEnum):
    """In which way a call came to nothing."""

    NO_BUS = "no bus"
    NOBODY = "nobody there"
    SILENT = "no answer"
    REFUSED = "refused"
    NONSENSE = "nonsense"


class CallFailed(KestrelError):
    """A call came to nothing. The message holds the error's name, never its text, which may quote anything."""

    def __init__(self, flaw: CallFlaw, what: str) -> None:
        super().__init__(what)
        self.flaw = flaw


class SystemBus:
    """A connection that belongs to one event loop. A failed one is given up, and the next call makes another."""

    def __init__(self, address: str, answer_limit_s: float) -> None:
        """Take where the bus is; nothing is connected yet. A call without a limit of its own waits so long."""
        self._address = address
        self._answer_limit_s = answer_limit_s
        self._bus: MessageBus | None = None
        self._end: asyncio.Future[None] | None = None  # of the connection; asyncio holds no reference

    async def call(
        self,
        destination: str,
        path: str,
        method: str,
        signature: str = "",
        body: tuple[Any, ...] = (),
        *,
        answer: str = "",
        limit_s: float | None = None,
    ) -> list[Any]:
        """Call `method` (interface and member) and return what is answered, of D-Bus signature `answer`.

        Raises CallFailed.
        """
        interface, _, member = method.rpartition(".")
        message = Message(
            destination=destination, path=path, interface=interface, member=member, signature=signature, body=list(body)
        )
        try:
            async with asyncio.timeout(self._answer_limit_s if limit_s is None else limit_s):
                reply = await (await self._connected()).call(message)
        except TimeoutError:
            self.close()  # a late answer must not meet the next question
            raise CallFailed(CallFlaw.SILENT, f"{member} was not answered") from None
        except (OSError, EOFError, AuthError, DBusError, InvalidMessageError, InvalidSignatureError) as error:
            self.close()
            raise CallFailed(CallFlaw.NO_BUS, f"the message bus is gone ({type(error).__name__})") from None
        if reply is None:
            raise CallFailed(CallFlaw.SILENT, f"{member} was not answered")
        if reply.message_type is MessageType.ERROR:
            raise _failed(member, str(reply.error_name))
        if reply.signature != answer:
            raise CallFailed(CallFlaw.NONSENSE, f"{member} was answered with another type than {answer or 'nothing'}")
        return list(reply.body)

    def close(self) -> None:
        """Give the connection up."""
        bus, self._bus = self._bus, None
        if bus is not None:
            with contextlib.suppress(OSError):
                bus.disconnect()

    async def _connected(self) -> MessageBus:
        """Return a connection. Raises what dbus-fast and the socket raise."""
        if self._bus is not None and not self._bus.connected:
            self.close()
        if self._bus is None:
            try:
                bus = MessageBus(bus_address=self._address)
            except (InvalidAddressError, OSError) as error:
                raise CallFailed(CallFlaw.NO_BUS, f"there is no message bus ({type(error).__name__})") from None
            self._bus = bus  # before it is connected, so that a time-out gives it up too
            await bus.connect()
            self._end = asyncio.ensure_future(bus.wait_for_disconnect())  # type: ignore[no-untyped-call]
            self._end.add_done_callback(_heed)
        return self._bus


def value_of(properties: dict[str, Variant], name: str, signature: str) -> Any:
    """Return the property `name`. Raises CallFailed (NONSENSE) if it is missing or of another type."""
    value = properties.get(name)
    if not isinstance(value, Variant) or value.signature != signature:
        raise CallFailed(CallFlaw.NONSENSE, f"{name} is missing or not of type {signature}")
    return value.value


def _heed(end: "asyncio.Future[None]") -> None:
    """Take note of how a connection ended: the next call makes another, and asyncio need not complain."""
    if not end.cancelled():
        end.exception()


def _failed(member: str, error_name: str) -> CallFailed:
    if _NOBODY.fullmatch(error_name):
        return CallFailed(CallFlaw.NOBODY, f"nobody is there to answer {member}")
    if _SILENT.fullmatch(error_name):
        return CallFailed(CallFlaw.SILENT, f"{member} was not answered")
    name = error_name if _KNOWN.fullmatch(error_name) else "an error that is not known here"
    return CallFailed(CallFlaw.REFUSED, f"{member} was refused ({name})")
