"""An exported folder on the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from lit_humor.core.errors import UserError, one_line
from lit_humor.core.remedies import clean_name


def check_repository(name: str) -> None:
    """Refuse a name that the hub would refuse, before anything is exported.

    Raises:
        UserError: It is no ``<owner>/<name>``.
    """
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        told = str(error)
    else:
        if "/" in name:
            return
        told = "no owner in it"
    raise UserError(
        f"push={name}",
        found=told,
        expected="<owner>/<name>",
        fix=f"set push=<your account>/{clean_name(name.rpartition('/')[2])}",
    )


def push_folder(folder: Path, name: str, *, private: bool) -> str:
    """Upload a folder as a model of the hub, in one commit.

    Returns:
        Its address.

    Raises:
        UserError: The hub is not reached or takes nothing from this account; the folder stays.
    """
    try:
        api = HfApi()
        url = api.create_repo(name, private=private, exist_ok=True)
        api.upload_folder(repo_id=name, folder_path=folder, commit_message="Upload from lit_humor")
    except Exception as error:  # offline, no token, no network, refused: of several packages
        raise UserError(
            f"push={name}",
            found=f"a hub that does not take it ({one_line(error)})",
            expected="a network and a token that may write there",
            fix=f"hf auth login, then hf upload {name} {folder}",
        ) from error
    return str(url)
