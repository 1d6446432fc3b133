"""RabbitMQ 4 with its MQTT 5 plugin, as Debian 13 packages it, in a folder of its own: a second opinion on the link.

It is what its manual makes of the fleet's rules: TLS 1.3, certificates of the fleet's clients, the common name as user
name, a unit's own topics only. Its processes end with the one that is started here.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import threading

from cloud import broker_files, fleet_folder
from cloud.registry import Registry
from firmware.board.linux import LinuxClock
from hw_sim.broker import ADDRESS, free_port, is_listening

CLOCK = LinuxClock()
START_LIMIT_S = 120.0
FOLDER = "kestrel"  # within the root of the system that it runs in

CONFIGURATION = """\
listeners.tcp = none
mqtt.listeners.tcp = none
mqtt.listeners.ssl.1 = {address}:{port}
ssl_options.cacertfile = /{folder}/fleet-ca.crt
ssl_options.certfile = /{folder}/broker.crt
ssl_options.keyfile = /{folder}/broker.key
ssl_options.versions.1 = tlsv1.3
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = true
ssl_cert_login_from = common_name
mqtt.ssl_cert_login = true
anonymous_login_user = none
mqtt.max_packet_size_authenticated = 131072
mqtt.max_session_expiry_interval_seconds = 2592000
mqtt.prefetch = 100
load_definitions = /{folder}/definitions.json
log.console = true
log.file = false
"""


def definitions(units):
    """Who may use which topic. A slash of MQTT is a full stop here; {username} is the certificate's common name."""
    names = [*units, broker_files.RECEIVER_USER]
    own = {
        "write": r"^kestrel\.v1\.{username}\.(read|retired|status)$",
        "read": r"^kestrel\.v1\.{username}\.(receipt|command)$",
    }
    all_units = {"write": r"^kestrel\.v1\.[^.]+\.receipt$", "read": r"^kestrel\.v1\.\*\.(read|retired|status)$"}
    return {
        "vhosts": [{"name": "/"}],
        "users": [{"name": name, "password_hash": "", "tags": []} for name in names],
        "permissions": [
            {
                "user": name,
                "vhost": "/",
                "configure": "^mqtt-.*",
                "write": "^(mqtt-.*|amq.topic)$",
                "read": "^(mqtt-.*|amq.topic)$",
            }
            for name in names
        ],
        "topic_permissions": [
            {"user": name, "vhost": "/", "exchange": "amq.topic"} | (own if name in units else all_units)
            for name in names
        ],
    }


class RabbitBroker:
    """One RabbitMQ for the fleet in `fleet_path`, in the system whose root folder is `root`. A context manager.

    The units that it lets in are those of the registry when it is first started.
    """

    def __init__(self, fleet_path, root, log_path):
        self.port = fleet_folder.load(fleet_path).port
        self._fleet_path, self._root, self._log_path = fleet_path, root, log_path
        self._process = None
        self._epmd_port, self._distribution_port = free_port(), free_port()
        shutil.rmtree(root / FOLDER, ignore_errors=True)

    def start(self):
        folder = self._root / FOLDER
        if not folder.exists():
            shutil.copytree(self._fleet_path / fleet_folder.BROKER_FOLDER, folder)
            units = [one.device_id for one in Registry(self._fleet_path / fleet_folder.REGISTRY_FOLDER).units()]
            (folder / "definitions.json").write_text(json.dumps(definitions(units)))
            settings = CONFIGURATION.format(address=ADDRESS, port=self.port, folder=FOLDER)
            (folder / "rabbitmq.conf").write_text(settings)
            (folder / "enabled_plugins").write_text("[rabbitmq_mqtt].\n")
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": f"/{FOLDER}",
            "RABBITMQ_NODENAME": "kestrel@localhost",
            "RABBITMQ_CONFIG_FILE": f"/{FOLDER}/rabbitmq.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"/{FOLDER}/enabled_plugins",
            "RABBITMQ_MNESIA_BASE": f"/{FOLDER}/state",
            "RABBITMQ_LOG_BASE": f"/{FOLDER}/log",
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1",
            "ERL_EPMD_ADDRESS": ADDRESS,
            "ERL_EPMD_PORT": str(self._epmd_port),
        }
        # as root of its own process tree, so that nothing of it outlives the first
        words = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"]
        inside = "mount -t proc proc /proc && exec /usr/lib/rabbitmq/bin/rabbitmq-server"
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [*words, "chroot", str(self._root), "/bin/sh", "-c", inside],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, process_group=0,
            )  # fmt: skip
        deadline_s = CLOCK.monotonic_s() + START_LIMIT_S
        pause = threading.Event()
        while not is_listening(self.port):
            if self._process.poll() is not None or CLOCK.monotonic_s() > deadline_s:
                self.kill()
                raise AssertionError(f"RabbitMQ did not start; {self._log_path} says why")
            pause.wait(0.2)

    def kill(self):
        """End it as a power cut does."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()
