"""Uploads an exported folder to the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from lit_humor.core.errors import UserError, one_line
from lit_humor.core.remedies import clean_name


def check_repository(name: str) -> None:
    """Check the name of a repository before anything is exported.

    Raises:
        UserError: The hub would reject the name, or it is not ``<owner>/<name>``.
    """
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        problem = str(error)
    else:
        if "/" in name:
            return
        problem = "no owner in it"
    raise UserError(
        f"push={name}",
        found=problem,
        expected="<owner>/<name>",
        fix=f"set push=<your account>/{clean_name(name.rpartition('/')[2])}",
    )


def push_folder(folder: Path, name: str, *, private: bool) -> str:
    """Upload a folder as a model to the hub, in one commit.

    Returns:
        The address of the model.

    Raises:
        UserError: The hub cannot be reached or rejects the upload; the folder is kept.
    """
    try:
        api = HfApi()
        url = api.create_repo(name, private=private, exist_ok=True)
        api.upload_folder(repo_id=name, folder_path=folder, commit_message="Upload from lit_humor")
    except Exception as error:  # no network, no token, rejected: errors of several packages
        raise UserError(
            f"push={name}",
            found=f"a hub that does not take it ({one_line(error)})",
            expected="a network and a token that may write there",
            fix=f"hf auth login, then hf upload {name} {folder}",
        ) from error
    return str(url)
