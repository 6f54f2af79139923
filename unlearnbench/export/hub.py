"""Uploading an exported model to the Hugging Face hub: its folder, and of an adapter the base as a model of its own."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ModelError, UsageError
from .folder import BASE


@dataclass(frozen=True)
class Hub:
    """A model's place on the hub, OWNER/NAME; raises `UsageError` for what is no such name."""

    name: str
    private: bool = False

    def __post_init__(self) -> None:
        from huggingface_hub.errors import HFValidationError
        from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

        try:
            validate_repo_id(self.name)
        except HFValidationError:
            good = False
        else:
            good = self.name.count("/") == 1
        if not good:
            raise UsageError(f"--push {self.name}: that is no hub id; write OWNER/NAME")

    def check(self) -> None:
        """Raise `ModelError` before anything is written where nobody is logged in, or the hub cannot be reached."""
        from huggingface_hub import HfApi

        try:
            HfApi().whoami()
        except Exception as error:  # the client and the libraries beneath it raise many kinds
            raise ModelError(
                f"--push {self.name}: the hub does not know who you are ({type(error).__name__}): log in with 'hf auth "
                "login' where there is a network, or leave out --push and upload the folder later"
            ) from None

    def push(self, folder: Path) -> list[str]:
        """Upload what lies in ``folder``; returns the addresses of what is there now."""
        parts = [(self.name, folder)]
        if (folder / BASE).is_dir():
            parts.insert(0, (f"{self.name}-{BASE}", folder / BASE))
        return [self._upload(name, place) for name, place in parts]

    def _upload(self, name: str, folder: Path) -> str:
        from huggingface_hub import HfApi

        api: Any = HfApi()
        try:
            address = api.create_repo(name, private=self.private, exist_ok=False)
            api.upload_folder(repo_id=name, folder_path=folder, ignore_patterns=[f"{BASE}/*"])
        except Exception as error:  # as above
            said = " ".join(str(error).split())[:200]
            raise ModelError(
                f"--push {name}: {type(error).__name__} ({said}); the model is in {folder}: upload it later with 'hf "
                f"upload {name} {folder}'"
            ) from None
        return str(address)
