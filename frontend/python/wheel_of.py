"""Builds the wheel (PEP 517) with nothing but Python: the package, libtaper.so and its header.

The library is $TAPER_LIBRARY, or ../../build/libtaper.so, or is built there by CMake; the compiler
in process goes along where it is built, beside the library.
"""

import base64
import hashlib
import os
import pathlib
import subprocess
import sysconfig
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
NAME, VERSION = "taper", "0.1.0"
METADATA = f"""Metadata-Version: 2.1
Name: {NAME}
Version: {VERSION}
Summary: Tensors, gradients and training steps that a graph compiler in C makes one program
Requires-Python: >=3.8
Requires-Dist: numpy
"""


def tag():
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    return f"py3-none-{platform}"


def library():
    given = os.environ.get("TAPER_LIBRARY")
    if given:
        return pathlib.Path(given)
    root = HERE.parent.parent
    found = root / "build" / "libtaper.so"
    if not found.exists():
        if not (root / "CMakeLists.txt").exists():
            raise SystemExit("taper: no library; name it in $TAPER_LIBRARY")
        subprocess.run(["cmake", "-S", str(root), "-B", str(root / "build"), "-DTAPER_TESTS=OFF"],
                       check=True)
        subprocess.run(["cmake", "--build", str(root / "build"), "--parallel", "--target", "taper"],
                       check=True)
    return found


def header(lib):
    for place in (HERE.parent, lib.parent, lib.parent.parent / "include"):
        if (place / "taper.h").exists():
            return place / "taper.h"
    raise SystemExit(f"taper: no taper.h for {lib}")


def contents():
    for path in sorted((HERE / "taper").rglob("*")):
        if path.suffix in (".py", ".pyi", ".typed") and "__pycache__" not in path.parts:
            yield str(path.relative_to(HERE)), path.read_bytes()
    lib = library()
    yield "taper/lib/libtaper.so", lib.read_bytes()
    yield "taper/lib/taper.h", header(lib).read_bytes()
    jit = lib.parent / "libtaper-jit.so"
    if jit.exists():
        yield "taper/lib/libtaper-jit.so", jit.read_bytes()


def _write(directory, files):
    info = f"{NAME}-{VERSION}.dist-info"
    name = f"{NAME}-{VERSION}-{tag()}.whl"
    records = []
    meta = [(f"{info}/METADATA", METADATA.encode()),
            (f"{info}/WHEEL", f"Wheel-Version: 1.0\nGenerator: taper\nRoot-Is-Purelib: false\n"
                              f"Tag: {tag()}\n".encode())]
    with zipfile.ZipFile(pathlib.Path(directory) / name, "w", zipfile.ZIP_DEFLATED) as wheel:
        for path, data in [*files, *meta]:
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            records.append(f"{path},sha256={digest},{len(data)}")
            entry = zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0))
            entry.external_attr = 0o755 << 16 if path.endswith(".so") else 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            wheel.writestr(entry, data)
        records.append(f"{info}/RECORD,,")
        wheel.writestr(f"{info}/RECORD", "\n".join(records) + "\n")
    return name


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    return _write(wheel_directory, contents())


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    """`pip install -e .`: this folder on the path; the library is found in the tree."""
    library()
    return _write(wheel_directory, [("taper.pth", f"{HERE}\n".encode())])


def build_sdist(sdist_directory, config_settings=None):
    raise SystemExit("taper: wheels are built from the source tree")
