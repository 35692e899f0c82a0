"""Repositories of a user's own, made for a test."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

__all__ = ["git", "repository"]


def git(folder: Path, *arguments: str) -> str:
    """What git says, of that repository."""
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def repository(folder: Path, *commits: Mapping[str, str]) -> Path:
    """A new repository in `folder`: on `main` a commit for each of `commits`, files by name."""
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    for number, files in enumerate(commits, 1):
        for name, text in files.items():
            (folder / name).write_text(text)
            git(folder, "add", name)
        git(folder, "commit", "-q", "-m", f"commit {number}")
    return folder
