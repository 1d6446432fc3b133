"""The options of `kestrel-provision unit`, and what each of its commands says.

A command loads what it needs when it runs: another one need not wait for that.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from firmware.faults import ConfigRejected
from provisioning import broker_options, site_command

if TYPE_CHECKING:
    from firmware.config import TokenConfig
    from provisioning.labels import Label
    from provisioning.requests import UnitRequest

_FOLDERS: Final = {"fleet_folder": "the fleet's folder", "unit_folder": "the unit's folder"}


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the commands of `unit` and their options."""
    commands = parser.add_subparsers(
        title="command", required=True, metavar="new|request|sign|install|bundle|apply|label|rotate|retire"
    )
    new = commands.add_parser("new", help="make a unit: key, certificate, configuration, label; and register it")
    _add_folders(new, "fleet_folder", "unit_folder")
    site_command.add_options(new)
    _add_key_options(new)
    new.set_defaults(command=_new)
    request = commands.add_parser("request", help="on the unit: make its key, or a new one; ask for a certificate")
    _add_folders(request, "unit_folder")
    request.add_argument("--out", type=Path, required=True, help="where the request goes")
    _add_key_options(request)
    request.set_defaults(command=_request)
    _add_apart(commands)
    _add_stock(commands)
    label = commands.add_parser("label", help="draw a unit's label, 50 x 25 mm")
    _add_folders(label, "unit_folder")
    label.add_argument("--out", type=Path, required=True, metavar="SVG|PNG", help="where the label goes")
    label.set_defaults(command=_draw_label)
    rotate = commands.add_parser("rotate", help="give a unit a new key, where both folders are: request, sign, install")
    _add_folders(rotate, "fleet_folder", "unit_folder")
    broker_options.add_proof_to(rotate)
    rotate.set_defaults(command=_rotate)
    retire = commands.add_parser("retire", help="erase a unit whose folder is here, and take it out of the fleet")
    _add_folders(retire, "fleet_folder", "unit_folder")
    broker_options.add_to(retire)
    retire.set_defaults(command=_retire)


def _add_apart(commands: Any) -> None:
    """Add the two commands of a unit and an office that lie apart, but for the request."""
    sign = commands.add_parser("sign", help="in the office: check a request, certify and register the key")
    _add_folders(sign, "fleet_folder")
    sign.add_argument("request", type=Path, help="the unit's request")
    sign.add_argument("--out", type=Path, required=True, help="where the answer goes")
    site_command.add_options(sign)
    _add_label_option(sign)
    sign.set_defaults(command=_sign)
    install = commands.add_parser("install", help="on the unit: take the answer into use")
    _add_folders(install, "unit_folder")
    install.add_argument("answer", type=Path, help="the answer to the unit's request")
    _add_label_option(install)
    install.set_defaults(command=_install)


def _add_stock(commands: Any) -> None:
    """Add the two commands of a unit that is prepared in the depot."""
    bundle = commands.add_parser("bundle", help="in the office: all that a unit needs in a file that only it can open")
    _add_folders(bundle, "fleet_folder")
    bundle.add_argument("request", type=Path, help="the unit's request")
    bundle.add_argument("--out", type=Path, required=True, help="where the bundle goes")
    site_command.add_options(bundle)
    _add_label_option(bundle)
    bundle.set_defaults(command=_bundle)
    apply = commands.add_parser("apply", help="on the unit: take a bundle into use")
    _add_folders(apply, "unit_folder")
    apply.add_argument("bundle", type=Path, help="the unit's bundle")
    site_command.add_options(apply)
    _add_label_option(apply)
    apply.set_defaults(command=_apply)


def _add_folders(parser: argparse.ArgumentParser, *names: str) -> None:
    for name in names:
        parser.add_argument(name, type=Path, help=_FOLDERS[name])


def _add_label_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--label",
        metavar="TEXT|PHOTO",
        help="the label on the unit: scanned text, its name k-..., or a photo (JPEG, PNG); another unit's is refused",
    )


def _new(options: argparse.Namespace) -> None:
    plan = site_command.plan(options)
    if plan is None:
        raise ConfigRejected("a new unit needs its site; give --site FILE, or --name, --latitude and --longitude")
    from provisioning import broker_notice, signing, unit  # noqa: PLC0415
    from provisioning.certificates import present  # noqa: PLC0415

    made = unit.enrol(
        options.fleet_folder,
        options.unit_folder,
        plan.site,
        present(),
        device_id=options.id,
        token=_token(options),
        others=plan.others,
        is_far_meant=options.far,
    )
    sys.stdout.write(
        f"{made.device_id} made in {options.unit_folder}; move it to /var/lib/kestrel on the unit's card, "
        "and leave no copy of it here: its key is the unit.\n"
    )
    sys.stdout.write(f"Print its label {signing.label_path(options.fleet_folder, made.device_id)}, 50 x 25 mm.\n")
    broker_notice.warn(options.fleet_folder, present())


def _request(options: argparse.Namespace) -> None:
    from firmware import identity  # noqa: PLC0415
    from provisioning import durable_files, requests, unit  # noqa: PLC0415

    if (options.unit_folder / identity.CONFIG_NAME).exists():
        if options.id or _token(options):
            raise ConfigRejected(
                f"{options.unit_folder}: this unit has its name and its token; leave these options out"
            )
        request = unit.request_rotation(options.unit_folder)
    else:
        request = unit.request_new(options.unit_folder, device_id=options.id, token=_token(options))
    durable_files.write(options.out, requests.encode(request))
    sys.stdout.write(
        f"{request.device_id} asks in {options.out}, which holds no secret; take it to where the fleet's folder is: "
        "`kestrel-provision unit sign` or `unit bundle`.\n"
    )


def _sign(options: argparse.Namespace) -> None:
    from provisioning import broker_notice, durable_files, requests, signing  # noqa: PLC0415
    from provisioning.certificates import present  # noqa: PLC0415

    plan = site_command.plan(options)
    request = _asked(options)
    answer = signing.sign(options.fleet_folder, request, present(), plan=plan, is_far_meant=options.far)
    durable_files.write(options.out, requests.encode(answer))
    sys.stdout.write(
        f"{answer.device_id} is registered with its new key; take {options.out}, which holds no secret, to the unit: "
        "`kestrel-provision unit install`.\n"
    )
    broker_notice.warn(options.fleet_folder, present())


def _install(options: argparse.Namespace) -> None:
    from firmware import identity  # noqa: PLC0415
    from provisioning import label_photos, labels, requests, unit  # noqa: PLC0415
    from provisioning.certificates import present  # noqa: PLC0415

    answer = requests.load_answer(options.answer)
    if options.label is not None:
        own = labels.of(answer.device_id, identity.public_key_of(answer.parsed()[-1]), answer.parsed_authority())
        is_new = not (options.unit_folder / identity.CONFIG_NAME).exists()
        labels.compare(label_photos.given(options.label), own, is_first_key=is_new)
    unit.install(options.unit_folder, answer, present())
    sys.stdout.write(f"{answer.device_id} has its certificate; (re)start its service.\n")


def _bundle(options: argparse.Namespace) -> None:
    from provisioning import broker_notice, bundling, durable_files  # noqa: PLC0415
    from provisioning.certificates import present  # noqa: PLC0415

    plan = site_command.plan(options)
    request = _asked(options)
    made = bundling.make(options.fleet_folder, request, present(), plan=plan, is_far_meant=options.far)
    durable_files.write(options.out, made)
    sys.stdout.write(
        f"{request.device_id} is registered; {options.out} can be opened by this unit only: take it there, "
        "`kestrel-provision unit apply`.\n"
    )
    broker_notice.warn(options.fleet_folder, present())


def _apply(options: argparse.Namespace) -> None:
    from provisioning import bundling, label_photos  # noqa: PLC0415
    from provisioning.certificates import present  # noqa: PLC0415

    settings = bundling.apply(
        options.unit_folder,
        options.bundle,
        present(),
        plan=site_command.plan(options),
        label=None if options.label is None else label_photos.given(options.label),
        is_far_meant=options.far,
    )
    sys.stdout.write(
        f"{settings.device_id} is ready for {settings.site.name}, with configuration version {settings.version}; "
        "(re)start its service.\n"
    )


def _draw_label(options: argparse.Namespace) -> None:
    from provisioning import durable_files, label_drawing  # noqa: PLC0415

    draw = {".svg": label_drawing.svg, ".png": label_drawing.png}.get(options.out.suffix.lower())
    if draw is None:
        raise ConfigRejected(f"{options.out}: a label is drawn as .svg or .png; give a name that ends so")
    label = _own_label(options.unit_folder)
    durable_files.write(options.out, draw(label))
    sys.stdout.write(f"Label of {label.device_id} in {options.out}, 50 x 25 mm.\n")


def _own_label(unit_folder: Path) -> "Label":
    """Return the label of the unit in a folder, made or still waiting for its fleet. Raises ConfigRejected."""
    from firmware import config, identity  # noqa: PLC0415
    from provisioning import labels, signing, unit  # noqa: PLC0415

    asked = unit.waiting(unit_folder)
    if asked is not None:
        return labels.of(asked.device_id, signing.key_asked_for(asked))
    settings = config.load(unit_folder / identity.CONFIG_NAME)
    *_, own = identity.own_certificates(unit_folder, in_token=settings.token is not None).values()
    authority = identity.load_certificate(unit_folder / identity.AUTHORITY_NAME)
    return labels.of(settings.device_id, identity.public_key_of(own), authority)


def _asked(options: argparse.Namespace) -> "UnitRequest":
    """Return the request, of the unit whose label was read if one was. Raises ConfigRejected."""
    from provisioning import label_photos, labels, requests, signing  # noqa: PLC0415

    request = requests.load_request(options.request)
    if options.label is not None:
        own, is_first_key = signing.label_of(options.fleet_folder, request)
        labels.compare(label_photos.given(options.label), own, is_first_key=is_first_key)
    return request


def _rotate(options: argparse.Namespace) -> None:
    from cloud import fleet_folder  # noqa: PLC0415
    from cloud.registry import Registry  # noqa: PLC0415
    from firmware import config, identity  # noqa: PLC0415
    from provisioning import unit  # noqa: PLC0415
    from provisioning.certificates import present  # noqa: PLC0415

    units = Registry(options.fleet_folder / fleet_folder.REGISTRY_FOLDER)
    device_id = config.load(options.unit_folder / identity.CONFIG_NAME).device_id
    before = units.unit(device_id)
    unit.rotate(options.fleet_folder, options.unit_folder, present())
    after = units.unit(device_id)
    sys.stdout.write(
        f"The unit in {options.unit_folder} has a new key, good until {after.certificate_until_utc[:10]}; restart its "
        f"service. The old certificate ends on {before.certificate_until_utc[:10]}; what its key signed is taken until "
        f"{next((one.accepted_until_utc[:10] for one in after.earlier_keys), before.certificate_until_utc[:10])}.\n"
    )
    if options.prove:
        from provisioning import broker_notice  # noqa: PLC0415

        broker_notice.announce(options.fleet_folder)
        from provisioning import broker_proof, retiring  # noqa: PLC0415
        from provisioning.check_progress import moving  # noqa: PLC0415

        with moving():
            broker_proof.admitted(options.fleet_folder, device_id, retiring.unit_tls(options.unit_folder))
        sys.stdout.write(f"Proven: the broker lets {device_id} in with its new certificate.\n")


def _retire(options: argparse.Namespace) -> None:
    from provisioning import broker_notice, retiring  # noqa: PLC0415
    from provisioning.certificates import present  # noqa: PLC0415

    now = present()
    retired = retiring.by_hand(options.fleet_folder, options.unit_folder, options.reason, now)
    erased = retired.erased
    sys.stdout.write(
        f"{retired.device_id} is erased and out of the fleet.\n"
        f"{erased.overwritten_bytes} bytes of its keys are zeros now, {erased.removed_files} files are gone, and no "
        f"piece of a key is in the {erased.searched_files} files that are left in {options.unit_folder}.\n"
    )
    if erased.token_keys is not None:
        sys.stdout.write(f"Keys destroyed in its token: {erased.token_keys}; none is left there.\n")
    broker_notice.shut_out(options.fleet_folder, retired.device_id, options, now, retired.own)


def _token(options: argparse.Namespace) -> "TokenConfig | None":
    """Return where the key that signs is to lie, checked when the configuration is. Raises ConfigRejected."""
    given = {
        "module": options.token_module,
        "token_label": options.token_label,
        "pin_file": options.token_pin_file,
    }
    named = {name: value for name, value in given.items() if value is not None}
    if not named:
        return None
    import msgspec  # noqa: PLC0415

    from firmware.config import TokenConfig  # noqa: PLC0415

    try:
        return msgspec.convert(named, TokenConfig)
    except msgspec.ValidationError as error:
        raise ConfigRejected(f"{error}; give --token-module and --token-label, and --token-pin-file") from error


def _add_key_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--id", help="a name of your own, k-..., 4 to 24 small letters and digits (default: random)")
    parser.add_argument("--token-module", help="PKCS #11 library of the secure element (default: the key is a file)")
    parser.add_argument("--token-label", help="label of the token in it")
    parser.add_argument("--token-pin-file", help="file with the token's PIN (default: systemd's credential)")
