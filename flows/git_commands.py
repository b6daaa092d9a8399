"""Git, as a rebuild uses it."""

import subprocess

from fer_tasks.errors import UserError


def run_git(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess:
    """Run git, which asks nothing. Raises UserError if it is not installed."""
    try:
        return subprocess.run(
            ["git", *arguments],
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
        )
    except FileNotFoundError:
        raise UserError("git is not installed, and versions of data are commits: install it") from None


def git(*arguments: str, failing: str, env: dict[str, str] | None = None) -> str:
    """What git prints. Raises UserError with git's own message: `failing` says what cannot be done then."""
    done = run_git(*arguments, env=env)
    if done.returncode:
        message = " ".join((done.stderr or done.stdout).split())
        raise UserError(f"{failing}, `git {' '.join(arguments)}` says: {message}")
    return done.stdout.strip()
