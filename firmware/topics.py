"""The topics of the broker: each unit has its own five, and the broker's access list lets it use no others."""

from typing import Final

ALL_READS: Final = "kestrel/v1/+/read"
ALL_NOTICES: Final = "kestrel/v1/+/retired"
"""The last words of all units."""

ALL_STATUSES: Final = "kestrel/v1/+/status"
"""Whether they are there."""


def read_topic(device_id: str) -> str:
    """Return the topic on which this unit publishes its reads."""
    return f"kestrel/v1/{device_id}/read"


def receipt_topic(device_id: str) -> str:
    """Return the topic on which this unit hears the receiver's receipts."""
    return f"kestrel/v1/{device_id}/receipt"


def command_topic(device_id: str) -> str:
    """Return the topic on which this unit hears its fleet's commands."""
    return f"kestrel/v1/{device_id}/command"


def retired_topic(device_id: str) -> str:
    """Return the topic on which this unit says that it erases itself."""
    return f"kestrel/v1/{device_id}/retired"


def status_topic(device_id: str) -> str:
    """Return the topic on which this unit says that it is here, and the broker that it has vanished."""
    return f"kestrel/v1/{device_id}/status"


def device_of_read_topic(topic: str) -> str | None:
    """Return the unit whose read topic this is, or None."""
    return _device_of(topic, "read")


def device_of_retired_topic(topic: str) -> str | None:
    """Return the unit on whose topic a last word came, or None if this is another topic."""
    return _device_of(topic, "retired")


def device_of_status_topic(topic: str) -> str | None:
    """Return the unit on whose topic a status came, or None if this is another topic."""
    return _device_of(topic, "status")


def _device_of(topic: str, leaf: str) -> str | None:
    match topic.split("/"):
        case ["kestrel", "v1", device_id, last] if last == leaf:
            return device_id
        case _:
            return None
