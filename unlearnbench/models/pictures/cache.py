"""Pictures as a model sees them: encoded once, kept in memory, and in memory-mapped files where that is full."""

import errno
import glob
import json
import logging
import os
import platform
import shutil
import tempfile
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import psutil
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ...data.pictures import open_picture as open_picture
from .ahead import Ahead

CACHE_BYTES = 8 * 2**30
"""Most bytes of visual features that a model keeps in memory; the pictures least recently used go first, to files."""

CACHE_SHARE = 0.25
"""The most that these are of the GPU memory that the weights leave free."""

AT_ONCE = 16
"""How many pictures at the most, of those that are seen anew, wait for each other to be seen together."""

SPARE_DISK = 0.2
"""The share of a disk that files of features leave free."""

_log = logging.getLogger(__name__)


@dataclass
class Picture:
    """A picture as the model sees it.

    ``features`` [N_f, d_v]: what the vision tower hands to the projector; ``tokens`` [N_v, d]: the projected visual
    tokens, or [streams, N_v, d] where they enter the language model more than once (Qwen3-VL's deepstack); ``ids``: the
    token ids that stand for the picture in a prompt; ``extra``: further inputs of the family; ``valid`` [N_v]: False
    for visual tokens that show nothing of the picture, such as those of padding tiles; None if all show something;
    ``covers``: how much of the layout's height and width the picture takes, where the rest is an empty canvas.
    """

    features: Tensor
    tokens: Tensor
    ids: list[int]
    extra: dict[str, Tensor] = field(default_factory=dict)
    valid: Tensor | None = None
    covers: tuple[float, float] = (1.0, 1.0)

    @property
    def count(self) -> int:
        """N_v, the number of visual tokens."""
        return self.tokens.shape[-2]

    @property
    def nbytes(self) -> int:
        """Bytes that it holds."""
        return self.features.nbytes + self.tokens.nbytes


class Seeing(Protocol):
    """What a model does with a picture (`unlearnbench.models.contract.vlm.VLM`)."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""

    def pixels(self, path: Path) -> Any:
        """Read and preprocess, in any thread."""

    def encode(self, preprocessed: Any) -> Picture:
        """Run the vision tower and the projector."""

    def encode_all(self, preprocessed: Sequence[Any]) -> list[Picture]:
        """The same for several."""

    def project(self, picture: Picture) -> Tensor:
        """Run the projector alone."""


class PictureCache:
    """Every picture that ``model`` has seen, by its path: ``room`` bytes in memory, the rest in files.

    ``lossless`` tells whether everything that was ever seen and not let go is still here.
    """

    def __init__(self, model: Seeing, room: int) -> None:
        self._model, self.room, self.lossless = model, room, True
        self._ahead = Ahead(lambda path: model.pixels(path))  # the bound method would hold on to the model
        self._kept: OrderedDict[str, Picture] = OrderedDict()
        self._files = PictureFiles()
        self._bytes = 0

    def see(self, path: Path) -> Picture:
        """The picture at ``path``, encoded at most once if it is kept."""
        key = str(path)
        if key not in self._kept:
            picture = self._files.read(key, self._model.device)
            if picture is None:
                picture = self._model.encode(self._ahead.take(path))
            else:
                picture.tokens = self._model.project(picture)
            self._kept[key] = picture
            self._bytes += picture.nbytes
            self._make_room()
        self._kept.move_to_end(key)
        return self._kept[key]

    def see_anew(self, paths: Sequence[Path]) -> list[Picture]:
        """Pictures as the model sees them now, with gradients, and kept nowhere: while its tower is trained.

        Several at once, and read by other threads meanwhile; what was expected before is forgotten.
        """
        self._ahead.expect(paths)
        parts = [paths[start : start + AT_ONCE] for start in range(0, len(paths), AT_ONCE)]
        return [seen for part in parts for seen in self._model.encode_all([*map(self._ahead.take, part)])]

    def _make_room(self) -> None:
        while self._bytes > self.room and len(self._kept) > 1:
            key, picture = self._kept.popitem(last=False)
            self._bytes -= picture.nbytes
            self.lossless = self._files.write(key, picture) and self.lossless

    def look_ahead(self, paths: Iterable[Path]) -> None:
        """Have the pictures among these that are not kept read by the time they are asked for, in this order."""
        self._ahead.expect(path for path in paths if str(path) not in self._kept and str(path) not in self._files)

    def let_go(self, paths: Iterable[Path]) -> None:
        """Forget pictures; they are encoded anew if they are seen again."""
        for key in map(str, paths):
            if picture := self._kept.pop(key, None):
                self._bytes -= picture.nbytes
            self._files.drop(key)

    def forget(self) -> None:
        """Forget every picture, since the tower sees them otherwise now."""
        self._kept.clear()
        self._files.clear()
        self._bytes = 0

    def refresh(self) -> None:
        """Project every picture anew, each by itself: what is kept of it depends on no other, as when it is seen."""
        for picture in self._kept.values():
            picture.tokens = self._model.project(picture)


class PictureFiles:
    """Features of pictures in a folder that vanishes with this object, a safetensors file each.

    They are written once and memory-mapped to be read, so that the system keeps as many of them in memory as it can.
    The folder is where Python puts temporary ones (``TMPDIR``); where that is no disk but memory, files take memory. A
    file that has vanished or was damaged is as one that never was. Nothing more is written once writing has failed, or
    the disk has less than `SPARE_DISK` free.
    """

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._paths: dict[str, Path] = {}
        self._written, self._failed = 0, False

    def __contains__(self, key: str) -> bool:
        return key in self._paths

    def write(self, key: str, picture: Picture) -> bool:
        """Keep a picture's features, if they are not kept; whether they are now."""
        if key in self._paths or self._failed:
            return key in self._paths
        tensors = {f"extra.{name}": tensor for name, tensor in picture.extra.items()} | {"features": picture.features}
        if picture.valid is not None:
            tensors["valid"] = picture.valid
        facts = {"ids": json.dumps(picture.ids), "covers": json.dumps(picture.covers)}
        try:
            if self._folder is None:
                self._folder = own_folder()
            path = Path(self._folder.name) / f"{self._written}.safetensors"
            usage = shutil.disk_usage(path.parent)
            if usage.free - picture.features.nbytes < SPARE_DISK * usage.total:
                raise OSError(errno.ENOSPC, f"less than {SPARE_DISK:.0%} of the disk is free")
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata=facts)
        except (OSError, SafetensorError) as error:
            self._failed = True
            _log.warning("features of pictures cannot be kept in %s (%s): those are computed anew that memory does not "
                         "hold; point TMPDIR to a disk with more room", tempfile.gettempdir(), error)  # fmt: skip
            return False
        self._written += 1
        self._paths[key] = path
        return True

    def read(self, key: str, device: torch.device) -> Picture | None:
        """A picture without its tokens; None if it is not here."""
        if key not in self._paths:
            return None
        try:
            with safe_open(self._paths[key], framework="pt", device=str(device)) as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                facts = {name: json.loads(value) for name, value in file.metadata().items()}
        except (OSError, SafetensorError):
            self.drop(key)
            return None
        extra = {name.removeprefix("extra."): tensors[name] for name in tensors if name.startswith("extra.")}
        features, valid = tensors["features"], tensors.get("valid")
        return Picture(features, torch.empty(0), facts["ids"], extra, valid, tuple(facts["covers"]))

    def drop(self, key: str) -> None:
        """Forget a picture."""
        if path := self._paths.pop(key, None):
            path.unlink(missing_ok=True)

    def clear(self) -> None:
        """Forget all of them."""
        for key in [*self._paths]:
            self.drop(key)


def own_folder() -> "tempfile.TemporaryDirectory[str]":
    """A folder for this process's files; those that killed processes of this machine have left are removed."""
    prefix = f"unlearnbench-pictures-{platform.node()}-"
    for left in Path(tempfile.gettempdir()).glob(f"{glob.escape(prefix)}*-*"):
        owner = left.name.removeprefix(prefix).partition("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(left, ignore_errors=True)
    return tempfile.TemporaryDirectory(prefix=f"{prefix}{os.getpid()}-", ignore_cleanup_errors=True)


def cache_room(device: torch.device) -> int:
    """Bytes for pictures beside the weights that stand on ``device``."""
    if device.type != "cuda":
        return CACHE_BYTES
    free, _ = torch.cuda.mem_get_info(device)
    return min(CACHE_BYTES, int(CACHE_SHARE * free))
