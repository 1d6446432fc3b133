from loopback_fixtures import broker, fleet_path, make_unit, start_receiver, stored

__all__ = ["broker", "fleet_path", "make_unit", "start_receiver", "stored"]
