"""What the service may ask of ModemManager and logind, judged by a real polkitd with our rules and nobody else's.

It runs in a mount namespace with a message bus of its own; nothing of the machine's is touched.
"""

import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest
from network_spaces import need_root_and

from firmware.config import ModemConfig
from provisioning.host.rendering import MODEM_RIGHTS, host_files

POLKITD = Path("/usr/lib/polkit-1/polkitd")
LOGIND_ACTIONS = Path("/usr/share/polkit-1/actions/org.freedesktop.login1.policy")
RULES = "etc/polkit-1/rules.d/50-kestrel.rules"

MODEM_MANAGER = "org.freedesktop.ModemManager1."
MODEM_MANAGER_ACTIONS = ("Control", "Device.Control", "Firmware", "Location", "Messaging", "Time", "Voice")
"""As Debian's ModemManager declares them: nobody outside a session may take any of them without a rule."""

REFUSED = (
    *(MODEM_MANAGER + name for name in MODEM_MANAGER_ACTIONS if MODEM_MANAGER + name not in MODEM_RIGHTS),
    *(f"org.freedesktop.login1.{name}" for name in ("power-off", "halt", "suspend", "reboot-multiple-sessions")),
    "org.freedesktop.login1.reboot-ignore-inhibit",
)

BUS = """<busconfig><type>custom</type><listen>unix:path={folder}/bus</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/>
</policy></busconfig>"""

ASK = """
set -e
mount --bind {folder}/polkit-1 /etc/polkit-1
mount --bind {folder}/passwd /etc/passwd
mount --bind {folder}/actions /usr/share/polkit-1/actions
export DBUS_SYSTEM_BUS_ADDRESS=unix:path={folder}/bus
setpriv --reuid 4321 --clear-groups sleep 60 & kestrel=$!
setpriv --reuid 65534 --clear-groups sleep 60 & nobody=$!
dbus-daemon --config-file={folder}/bus.conf --nofork & bus=$!
trap 'kill $kestrel $nobody $bus $polkit' EXIT
until test -S {folder}/bus; do sleep 0.05; done
{polkitd} --no-debug & polkit=$!
until gdbus_ready; do sleep 0.1; done
for action in {actions}; do
    for who in $kestrel $nobody; do
        answer=0; pkcheck --action-id $action --process $who >/dev/null 2>&1 || answer=$?
        echo $action $(test $who = $kestrel && echo kestrel || echo nobody) $answer
    done
done
"""


@pytest.fixture
def answers(tmp_path, device_config):
    """A function: which of these actions a unit's service, and anybody else, may take: {(action, user): may}."""
    need_root_and("dbus-daemon", "pkcheck", "setpriv", "unshare")
    if not POLKITD.exists() or not LOGIND_ACTIONS.exists():
        pytest.skip("polkitd is not installed; `make tools` installs it")

    def of(modem, actions):
        files = {str(path): content for path, content in host_files(replaced(device_config, modem)).items()}
        (tmp_path / "polkit-1/rules.d").mkdir(parents=True)
        (tmp_path / "polkit-1/rules.d/50-kestrel.rules").write_bytes(files[RULES])
        (tmp_path / "actions").mkdir()
        shutil.copy(LOGIND_ACTIONS, tmp_path / "actions")
        declared = "".join(
            f'<action id="{MODEM_MANAGER}{name}"><description>-</description><message>-</message>'
            "<defaults><allow_any>no</allow_any></defaults></action>"
            for name in MODEM_MANAGER_ACTIONS
        )
        (tmp_path / "actions/modem.policy").write_text(f"<policyconfig>{declared}</policyconfig>")
        users = Path("/etc/passwd").read_text() + "kestrel:x:4321:4321::/:/usr/sbin/nologin\n"
        (tmp_path / "passwd").write_text(users)
        (tmp_path / "bus.conf").write_text(BUS.format(folder=tmp_path))
        for folder in (tmp_path, *tmp_path.parents):
            if not folder.stat().st_mode & 0o001:
                folder.chmod(0o755)  # polkitd is no root
        ready = "pkcheck --action-id org.freedesktop.login1.halt --process $kestrel 2>&1 | grep -qv 'Error checking'"
        script = ASK.format(folder=tmp_path, polkitd=POLKITD, actions=" ".join(actions))
        words = ["unshare", "--mount", "bash", "-c", script.replace("gdbus_ready", ready)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        lines = [line.split() for line in done.stdout.splitlines() if line.count(" ") == 2]
        return {(action, user): code == "0" for action, user, code in lines if action.startswith("org.")}

    return of


def replaced(settings, modem):
    return msgspec.structs.replace(settings, modem=modem)


def test_the_service_of_a_unit_with_a_modem_may_take_these_actions_and_no_other(answers):
    found = answers(ModemConfig(), (*MODEM_RIGHTS, *REFUSED))
    assert len(found) == 2 * len((*MODEM_RIGHTS, *REFUSED))
    assert {action for (action, user), may in found.items() if may and user == "kestrel"} == set(MODEM_RIGHTS)
    assert not any(may for (_, user), may in found.items() if user == "nobody")


def test_that_of_a_unit_without_a_modem_may_take_none(answers):
    found = answers(None, MODEM_RIGHTS)
    assert len(found) == 2 * len(MODEM_RIGHTS)
    assert not any(found.values())
