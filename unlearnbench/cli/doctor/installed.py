"""What this machine is and has: packages, those that cannot be imported, devices, the hub, a cluster."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from packaging.requirements import Requirement

HUB_SECONDS = 3.0
"""How long the Hugging Face hub may take to answer before it counts as out of reach."""


@dataclass(frozen=True)
class Missing:
    """Something that is not there, what to do about it, and whether the embedded benchmark needs it."""

    what: str
    fix: str
    required: bool


def broken(packages: dict[str, str | None], missing: list[Missing]) -> dict[str, str]:
    """Why each package that is installed but cannot be imported cannot; and modules of ours, of which that is true."""
    from ...registry import families
    from . import imports

    names = _modules()
    modules = {
        module: package
        for package, version in packages.items()
        if version and package != "unlearnbench"
        for module in names.get(package.lower(), [package.lower().replace("-", "_")])
    }
    found = imports.broken([*modules, *imports.OURS, *families.modules()])
    broken: dict[str, str] = {}
    for module, why in found.items():
        if why in broken.values():  # what is built on it fails alike
            continue
        package = modules.get(module, module)
        broken[package] = why
        fix = f"pip install --force-reinstall {package}" if module in modules else "mend or reinstall what it names"
        missing.append(Missing(f"{package} that can be imported ({why})", fix, required=True))
    return broken


def _modules() -> dict[str, list[str]]:
    """What to import of each distribution: the module of its name if it has one, else all that it brings."""
    from importlib.metadata import packages_distributions

    of: dict[str, list[str]] = {}
    for module, distributions in packages_distributions().items():
        for name in distributions:
            of.setdefault(name.lower(), []).append(module)
    for name, modules in of.items():
        same = name.replace("-", "_")
        of[name] = [same] if same in modules else [each for each in modules if not each.startswith("_")]
    return of


def system(broken: dict[str, str]) -> dict[str, Any]:
    """Python, the operating system, CPUs, and memory in bytes unless psutil is among what is ``broken``."""
    import os
    import platform

    system: dict[str, Any] = {"python": platform.python_version(), "os": platform.platform(), "cpus": os.cpu_count()}
    if "psutil" in broken:
        return system
    try:
        import psutil
    except ImportError:  # `packages` says so
        return system
    memory = psutil.virtual_memory()
    return {**system, "memory_bytes": memory.total, "memory_free_bytes": memory.available}


def packages(missing: list[Missing]) -> dict[str, str | None]:
    """Installed version of everything that the distribution requires; None for what is absent."""
    from importlib.metadata import PackageNotFoundError, metadata, requires, version

    from packaging.requirements import Requirement

    try:
        versions: dict[str, str | None] = {"unlearnbench": version("unlearnbench")}
    except PackageNotFoundError:
        missing.append(Missing("unlearnbench is not installed", "pip install -e . in its repository", required=True))
        return {"unlearnbench": None}
    wanted = [Requirement(line) for line in requires("unlearnbench") or ()]
    for requirement in wanted:
        if _applies(requirement, extra=""):
            versions[requirement.name] = found = _installed(requirement)
            if found is None or not requirement.specifier.contains(found, prereleases=True):
                what = f"{requirement.name}{requirement.specifier} ({found or 'not'} installed)"
                missing.append(Missing(what, f"pip install '{requirement.name}{requirement.specifier}'", required=True))
    for extra in metadata("unlearnbench").get_all("Provides-Extra") or ():
        absent = [r.name for r in wanted if _applies(r, extra) and not _applies(r, "") and not _installed(r)]
        if absent:
            what = f"extra {extra}: {', '.join(absent)}"
            missing.append(Missing(what, f"pip install 'unlearnbench[{extra}]'", required=False))
    return versions


def _applies(requirement: "Requirement", extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def _installed(requirement: "Requirement") -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(requirement.name)
    except PackageNotFoundError:
        return None


def torch(missing: list[Missing]) -> dict[str, Any] | None:
    """Version and devices; None if torch cannot be imported."""
    import shutil

    try:
        import torch
    except (ImportError, OSError) as error:
        missing.append(Missing(f"a torch that can be imported ({error})", "pip install torch", required=True))
        return None
    devices: list[dict[str, Any]] = [{"device": "cpu", "name": f"{torch.get_num_threads()} threads"}]
    for index in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(index)
        devices.append({"device": f"cuda:{index}", "name": about.name, "memory_bytes": about.total_memory})
    if len(devices) == 1:
        fix = "only needed for models of billions of parameters"
        if shutil.which("nvidia-smi"):
            fix = f"torch {torch.__version__} does not see this machine's: install a CUDA build, see pytorch.org"
        missing.append(Missing("a GPU", fix, required=False))
    return {"version": str(torch.__version__), "devices": devices}


def hub(missing: list[Missing]) -> dict[str, str]:
    """Whether models can be downloaded: "offline" (by HF_HUB_OFFLINE), "reachable" or "unreachable"."""
    try:
        from huggingface_hub import constants
    except ImportError:  # `packages` says so
        return {"state": "unreachable"}
    hub = {"endpoint": constants.ENDPOINT, "cache": constants.HF_HUB_CACHE}
    if constants.HF_HUB_OFFLINE:
        missing.append(Missing("the Hugging Face hub: HF_HUB_OFFLINE is set", "unset it to download", required=False))
        return {**hub, "state": "offline"}
    if not _answers(constants.ENDPOINT):
        fix = "check the network, or set HF_HUB_OFFLINE=1 to use what is cached"
        missing.append(Missing(f"the Hugging Face hub: no answer from {constants.ENDPOINT}", fix, required=False))
        return {**hub, "state": "unreachable"}
    return {**hub, "state": "reachable"}


def _answers(url: str) -> bool:
    """Whether ``url`` answers in `HUB_SECONDS`; asked in a thread, since looking up a name knows no time limit."""
    import threading

    from huggingface_hub import get_session

    answered = threading.Event()
    finished = threading.Event()

    def ask() -> None:
        try:
            if get_session().head(url, timeout=HUB_SECONDS).status_code < 500:
                answered.set()
        except Exception:  # noqa: S110 - whatever keeps the hub from answering, it does not
            pass
        finally:
            finished.set()

    threading.Thread(target=ask, daemon=True).start()
    finished.wait(HUB_SECONDS + 1)
    return answered.is_set()


def slurm(missing: list[Missing]) -> dict[str, str]:
    """Whether jobs can be submitted from here, and to which partitions."""
    import importlib.util
    import shutil
    import subprocess

    if not (sinfo := shutil.which("sinfo")):
        return {"state": "no SLURM here"}
    if importlib.util.find_spec("submitit") is None:
        missing.append(Missing("submitit, for --executor slurm", "pip install 'unlearnbench[slurm]'", required=False))
    command = [sinfo, "--noheader", "--format=%P"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        return {"state": f"installed, but does not answer ({type(error).__name__})"}
    return {"state": "answers", "partitions": ", ".join(dict.fromkeys(done.stdout.split()))}
