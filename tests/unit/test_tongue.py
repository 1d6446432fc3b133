"""The tool in two languages: how a sentence finds its Spanish, which language is spoken, and what the edge does."""

import io
import sys
import time

import pytest

from provisioning import speaking
from provisioning.__main__ import main
from provisioning.tongue import Language, Tongue

ENTRIES = {
    "{path}: cannot be read ({why}); {hint}": "No se puede leer {path} ({why}); {hint}",
    "{path}: not a key": "{path}: no es una clave",
    "No such file": "No existe",
    "bring the file": "traiga el archivo",
    "the unit is {state}": "la unidad está {state}",
    "revoked": "revocada",
    "{given} differs from {wanted} and {given} is newer": "{wanted} es anterior a {given}",
    "{count} more": "{count} más",
    "{count} more units": "{count} unidades más",
    "Debian packages": "paquetes de Debian",
    "our programs": "nuestros programas",
    "and": "y",
    "fail": "mal",
    "lens": "lente",
    'the lane\'s middle is {m} m "away" & dark': "el medio del carril está a {m} m & oscuro",
}
SPANISH = Tongue(Language.SPANISH, ENTRIES)


@pytest.mark.parametrize(
    ("english", "spanish"),
    [
        ("revoked", "revocada"),
        ("/a b/c.key: not a key", "/a b/c.key: no es una clave"),
        ("/x: cannot be read (No such file); bring the file", "No se puede leer /x (No existe); traiga el archivo"),
        ("tool: the unit is revoked", "tool: la unidad está revocada"),
        ("the unit is revoked; 3 more", "la unidad está revocada; 3 más"),
        ("3 more units", "3 unidades más"),
        ("2 differs from 1 and 2 is newer", "1 es anterior a 2"),
        ("2 differs from 1 and 3 is newer", "2 differs from 1 and 3 is newer"),
        ("[2/7] Debian packages ...", "[2/7] paquetes de Debian ..."),
        ("our programs and Debian packages", "nuestros programas y paquetes de Debian"),
        ("packages   fail      lens", "packages   mal       lente"),
        ("  revoked\n\n\trevoked\r", "  revocada\n\n\trevocada\r"),
        ("nobody wrote this: not even fail-safe", "nobody wrote this: not even fail-safe"),
        ("", ""),
        ("12.5, 3: 4", "12.5, 3: 4"),
    ],
)
def test_a_text_finds_the_spanish_that_says_most_of_it(english, spanish):
    assert SPANISH.said(english) == spanish
    assert Tongue(Language.ENGLISH).said(english) == english


def test_a_page_is_said_between_its_tags_and_names_its_language():
    page = (
        '<html lang="en"><style>lens { }</style><p title="lens">lens</p><b>the lane&#x27;s\n middle is 3 m &quot;away'
        '&quot; &amp; dark</b><img alt="lens"> <script>const lens = "<p>lens</p>";</script>'
    )
    assert SPANISH.said_page(page) == (
        '<html lang="es"><style>lens { }</style><p title="lens">lente</p><b>el medio del carril está a 3 m &amp; oscuro'
        '</b><img alt="lente"> <script>const lens = "<p>lens</p>";</script>'
    )
    assert Tongue(Language.ENGLISH).said_page(page) == page


def test_1500_templates_are_ready_and_a_sentence_is_found_in_50_ms():
    entries = {
        f"{{path}}: cannot do number {n} ({{why}}); {{hint}}": f"{{path}}: {n} {{hint}} {{why}}" for n in range(1500)
    }
    begun_s = time.process_time()
    said = Tongue(Language.SPANISH, entries).said("/x: cannot do number 777 (full); wait")
    assert said == "/x: 777 wait full"
    assert time.process_time() - begun_s < 0.05


@pytest.mark.parametrize(
    ("arguments", "environment", "language", "rest"),
    [
        (["fleet"], {}, "en", ["fleet"]),
        (["fleet"], {"LANG": "es_MX.UTF-8"}, "es", ["fleet"]),
        (["fleet"], {"LANG": "es_MX.UTF-8", "LC_MESSAGES": "C"}, "en", ["fleet"]),
        (["fleet"], {"LC_ALL": "es", "LANG": "C"}, "es", ["fleet"]),
        (["fleet"], {"LANG": "est_EE"}, "en", ["fleet"]),
        (["fleet"], {"LC_ALL": "C", "KESTREL_LANGUAGE": "es"}, "es", ["fleet"]),
        (["fleet"], {"LC_ALL": "", "LANG": "es"}, "es", ["fleet"]),
        (["--language", "es", "fleet"], {"KESTREL_LANGUAGE": "en"}, "es", ["fleet"]),
        (["fleet", "list", "--language=en", "F"], {"LANG": "es"}, "en", ["fleet", "list", "F"]),
        (["fleet", "--lang", "es", "-h"], {}, "en", ["fleet", "--lang", "es", "-h"]),
    ],
)
def test_the_option_counts_then_the_products_variable_then_the_machines(arguments, environment, language, rest):
    assert speaking.chosen(arguments, environment) == (Language(language), rest)


def test_a_language_that_is_not_spoken_is_refused(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--language", "fr", "fleet"])
    assert ended.value.code == 2
    assert "choose from" in capsys.readouterr().err


def test_what_is_written_is_said_but_for_screens_and_loses_accents_that_a_terminal_lacks(monkeypatch):
    for encoding, shown in (("utf-8", "3 más\n\x1b[H3 more\n"), ("ascii", "3 mas\n\x1b[H3 more\n")):
        raw = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding, write_through=True))
        with speaking.spoken(SPANISH):
            sys.stdout.write("3 more\n")
            sys.stdout.write("\x1b[H3 more\n")
            assert not sys.stdout.isatty()
            sys.stdout.flush()
        sys.stdout.flush()
        assert raw.getvalue().decode(encoding) == shown
