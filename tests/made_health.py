"""Health of a unit that never was."""

from firmware.health_report import Health, KeyPlace


def made_health(**values):
    return Health(
        **{
            "made_utc_ms": 1_800_000_000_000,
            "clock_trusted": True,
            "uptime_s": 3600,
            "firmware_version": "0.1.0",
            "model_version": "test-1",
            "config_version": 3,
            "key_place": KeyPlace.FILE,
            "waiting": 4,
            "waiting_bytes": 16_000,
            "oldest_s": 12,
            "reads_last_hour": 100,
        }
        | values
    )
