"""Where the Snakefile, its profiles and the experiments of flowsim lie: in an installed package beside this
file, where the wheel puts them, in a checkout at its root.
"""

from __future__ import annotations

from pathlib import Path

from flowsim.errors import InputError

INSTALLED, CHECKOUT = Path(__file__).parent, Path(__file__).parents[2]


def home() -> Path:
    """The folder of the Snakefile."""
    return INSTALLED if (INSTALLED / "Snakefile").is_file() else CHECKOUT


def profile(given: str = "default") -> Path:
    """The profile of Snakemake that a person means: a folder, or the name of one that comes with flowsim.

    Raises
    ------
    InputError
        If there is neither.
    """
    shipped = {path.parent.name: path.parent for path in sorted(home().glob("profiles/*/config.yaml"))}
    folder = shipped.get(given, Path(given).expanduser())
    if given and (folder / "config.yaml").is_file():
        return folder
    raise InputError(
        f"--profile {given}: expected a folder with a config.yaml for Snakemake, or the name of a profile "
        f"that comes with flowsim; found neither. Check the path, or choose one of: {', '.join(shipped)} "
        f"(in {home() / 'profiles'}, to be copied and changed)"
    )


def experiments() -> dict[str, Path]:
    """The experiment files that come with flowsim, by name."""
    return {path.stem: path for path in sorted((home() / "experiments").glob("*.yaml"))}


def experiment_file(given: Path) -> Path:
    """The experiment file that a person means: a path, or the name of an experiment of flowsim.

    Raises
    ------
    InputError
        If there is neither.
    """
    shipped = experiments()
    if given.is_file():
        return given
    if given.name == str(given) and str(given) in shipped:
        return shipped[str(given)]
    raise InputError(
        f"{given}: expected an experiment file (YAML), or the name of one that comes with flowsim; found no "
        f"such file. Check the path, or choose one of: {', '.join(shipped)}"
    )
