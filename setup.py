"""What is installed, and what it needs. Tool settings are in pyproject.toml."""

from setuptools import setup

TRAIN = ["torch==2.13.0", "litert-torch==0.10.0", "ai-edge-quantizer==0.10.0", "pillow>=10"]

PKCS11 = ["python-pkcs11>=0.9"]
FUZZ = ["atheris>=3.0"]  # libFuzzer for Python; no wheel for arm64

DEV = [
    *PKCS11,
    "coverage>=7.6",
    "hypothesis>=6.100",
    "import-linter>=2.0",
    "mypy>=1.11",
    "pyhpke>=0.6",  # another HPKE implementation, which opens our reads
    "pytest>=8.2",
    "pytest-mock>=3.14",
    "pytest-xdist>=3.6",
    "ruff>=0.6",
]

setup(
    name="kestrel-camera",
    version="0.1.0",
    description="Open edge firmware for a solar-powered cellular licence-plate camera",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=[
        "firmware",
        "firmware.board",
        "hw_sim",
        "models",
        "provisioning",
        "provisioning.card",
        "provisioning.host",
        "cloud",
    ],
    package_data={
        "models": ["*.tflite", "manifest.json", "report.css"],
        "cloud": ["mosquitto.conf.in", "mosquitto.service.d.conf", "access.acl"],
        "provisioning": ["guide.tcss", "spanish/*.po"],
        "provisioning.card": ["begin.sh"],
        "provisioning.host": ["files/**/*"],
    },
    install_requires=[
        "fpdf2>=2.8",  # the page of a hand-over
        "pillow>=10",  # which that needs anyway; the palette of its picture in the documentation
        "numpy>=1.26",
        "opencv-python-headless>=4.10",
        "ai-edge-litert>=2.0",
        "cryptography>=50",
        "cbor2>=6.2",  # the wire format: CBOR payload and envelope
        "paho-mqtt>=2.1,<3",
        "gpiozero>=2.0.1",
        "dbus-fast>=5",  # ModemManager and logind; wheels for x86-64 and arm64
        "msgspec>=0.19",
        "segno>=1.6",  # labels: QR codes, pure Python
        "tuf>=7,<8",  # signed updates: root keys, roles and their documents
        "tqdm>=4.66",
        "textual>=8,<9",  # the technician's full screen
        "polib>=1.2",  # the Spanish of the technician's tool: gettext's .po, read without a step of a build
    ],
    extras_require={
        # picamera2 imports only beside the system's libcamera (apt install python3-libcamera); lgpio drives the pins.
        "pi": ["picamera2>=0.3.31", "simplejpeg>=1.9", "lgpio>=0.2.2; python_version < '3.13'"],
        # tflite-runtime fails on NumPy 2 when an interpreter is made, and has no wheel after Python 3.11.
        "tflite": ["tflite-runtime==2.14.0; python_version < '3.12'", "numpy<2"],
        # Keys in a secure element: the module comes with the element or from Debian (softhsm2 for tests).
        "pkcs11": PKCS11,
        "train": TRAIN,
        "dev": DEV,
        "fuzz": FUZZ,
    },
    entry_points={
        "console_scripts": [
            "kestrel=firmware.__main__:process",
            "kestrel-sim=hw_sim.__main__:process",
            "kestrel-provision=provisioning.__main__:main",
            "kestrel-cloud=cloud.__main__:main",
        ]
    },
)
