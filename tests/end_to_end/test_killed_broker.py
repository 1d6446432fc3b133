"""Mosquitto killed (SIGKILL) between acknowledgement and delivery, within its autosave interval, again and again."""

from killed_broker import KilledBroker

SEED = 20


def test_a_broker_killed_at_any_moment_loses_nothing_and_repeats_nothing(
    broker, make_unit, start_receiver, tmp_path, request
):
    rounds = request.config.getoption("--rounds") or 6
    killed = KilledBroker(broker, make_unit(), start_receiver, tmp_path / "reads.db", SEED)
    for _ in range(rounds):
        killed.round()
    assert killed.come_to_rest()
    assert killed.stored() == sorted(killed.put)
    assert killed.acknowledged_only > 0  # else nothing was tried
    print(f"{rounds} kills of {len(killed.put)} reads; {killed.acknowledged_only} acknowledged and not handed on")
