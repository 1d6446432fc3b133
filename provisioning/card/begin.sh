#!/bin/sh
# Makes the running Raspberry Pi OS a unit's, from the bundle that this file lies in, without a network:
#     sudo sh begin.sh          what follows is passed on to `kestrel-provision card install`
set -eu
bundle=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
tool=$(mktemp -d -p /var/tmp)
trap 'rm -rf "$tool"' EXIT
for name in kestrel_camera msgspec cryptography cffi numpy polib; do
    python3 -m zipfile -e "$bundle/wheels/$name"-*.whl "$tool"
done
PYTHONPATH=$tool PYTHONDONTWRITEBYTECODE=1 python3 -m provisioning.card install --root / --bundle "$bundle" "$@"
