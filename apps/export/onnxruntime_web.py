"""onnxruntime-web, which runs a model in a browser: three files of its package, as they were published."""

import base64
import hashlib
import io
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from platformdirs import user_cache_path

from apps.export.parity import ExportRefused
from fer_tasks.storage.files import write_bytes

VERSION = "1.30.0"
# Of the package's archive, as its registry states it, and of the three files.
INTEGRITY = "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
SHA256 = {
    "ort.wasm.min.mjs": "219e6a1fc8a9938268d18efca3c91d310bd2f4a59bbd13744df5b2b7fc6cee3b",
    "ort-wasm-simd-threaded.mjs": "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b",
    "ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
INSTEAD = f"or name onnxruntime-web {VERSION}, its folder or its .tgz, with --onnxruntime-web"
PATIENCE_S = 600


def runtime_files(given: Path | None) -> dict[str, bytes]:
    """The files by their names: of a folder or an archive of the package; or else of the user's cache, into
    which `npm pack` gets them once.

    Raises:
        ExportRefused: they are not there, are not those of VERSION, or cannot be got.
    """
    if given:
        return _of_archive(given) if given.is_file() else _of_folder(given)
    cache = user_cache_path("monday-fer") / f"onnxruntime-web-{VERSION}"
    try:
        return _of_folder(cache)
    except ExportRefused:
        files = _of_npm()
    for name, content in files.items():
        write_bytes(cache / name, content)
    return files


def _of_folder(folder: Path) -> dict[str, bytes]:
    inside = next(
        (
            one
            for one in (folder, folder / "dist", folder / "package" / "dist")
            if one.is_dir() and (one / next(iter(SHA256))).is_file()
        ),
        None,
    )
    if not inside:
        raise ExportRefused(f"{folder} has no {next(iter(SHA256))}: it is no folder of onnxruntime-web")
    try:
        files = {name: (inside / name).read_bytes() for name in SHA256}
    except OSError as error:
        raise ExportRefused(f"{error.filename} cannot be read: {error.strerror}") from None
    return _checked(files, inside)


def _of_archive(archive: Path) -> dict[str, bytes]:
    data = archive.read_bytes()
    if f"sha512-{base64.b64encode(hashlib.sha512(data).digest()).decode()}" != INTEGRITY:
        raise ExportRefused(f"{archive} is not onnxruntime-web {VERSION} as it was published, or is damaged")
    with tarfile.open(fileobj=io.BytesIO(data)) as package:
        files = {name: package.extractfile(f"package/dist/{name}").read() for name in SHA256}
    return _checked(files, archive)


def _checked(files: dict[str, bytes], where: Path) -> dict[str, bytes]:
    for name, content in files.items():
        if hashlib.sha256(content).hexdigest() != SHA256[name]:
            raise ExportRefused(f"{where}: {name} is not that of onnxruntime-web {VERSION}, or is damaged")
    return files


def _of_npm() -> dict[str, bytes]:
    npm = shutil.which("npm")
    if not npm:
        raise ExportRefused(f"npm, which gets onnxruntime-web, is not installed; install Node.js, {INSTEAD}")
    with tempfile.TemporaryDirectory(prefix="onnxruntime-web-") as folder:
        command = [npm, "pack", f"onnxruntime-web@{VERSION}", "--ignore-scripts", "--loglevel=error"]
        try:
            run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise ExportRefused(
                f"npm did not get onnxruntime-web in {PATIENCE_S} s; try again, {INSTEAD}"
            ) from None
        archives = [*Path(folder).glob("*.tgz")]
        if run.returncode or not archives:
            reason = next((line for line in run.stderr.splitlines() if line.strip()), "it says nothing")
            raise ExportRefused(
                f"npm could not get onnxruntime-web {VERSION} ({reason.strip()}); try again, {INSTEAD}"
            )
        return _of_archive(archives[0])
