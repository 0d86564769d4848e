"""The compiled form of the package: the modules that every claim passes through, made into machine code by mypyc.

hatchling comes here only where HATCH_BUILD_HOOK_ENABLE_CUSTOM=true says so (`scripts/compile` does); every other build
is pure Python and needs no compiler. The list of modules is in pyproject.toml. What is made lies in a temporary folder
and goes from there into the wheel: beside its source a compiled module would be imported instead of whatever is
edited there. The sources go into the wheel too; stack traces show their lines.
"""

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

OPTIMISE = "COMPILE_LEVEL"
"""What the C compiler is told about optimising, 0 to 3 (default: 3); with 0 it is done sooner."""


class CompiledWheel(BuildHookInterface[Any]):
    """Puts the compiled modules into a wheel, which fits one version of Python on one kind of machine then."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile; `editable` is left as it is, because it is there to be edited."""
        if version != "standard":
            return
        self._made = TemporaryDirectory(prefix="dropwave-compiled-")
        folder = Path(self._made.name)
        compile_modules(self.config["modules"], folder)
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        build_data["force_include"] |= {str(made): str(made.relative_to(folder)) for made in folder.rglob("*.so")}

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002 - hatchling's
        """The wheel has them."""
        if version == "standard":
            self._made.cleanup()


def compile_modules(modules: list[str], folder: Path) -> None:
    """Compile these modules of the working directory into `folder`, each at its place in the package.

    Ends the process where a type in them is wrong, and raises CompileError of setuptools where the compiler fails.
    """
    # Imported here: whoever builds the pure wheel has none of them.
    from mypyc.build import mypycify
    from setuptools import Distribution
    from setuptools.command.build_ext import build_ext

    with TemporaryDirectory(prefix="dropwave-c-") as intermediate:
        extensions = mypycify(
            # The types of all that is imported are read; whether those modules keep to theirs is for `mypy` to say.
            ["--follow-imports=silent", "--cache-dir", os.path.join(intermediate, "mypy"), *modules],
            target_dir=intermediate,
            opt_level=os.environ.get(OPTIMISE, "3"),
            group_name="dropwave",
        )
        command = build_ext(Distribution({"name": "dropwave", "ext_modules": extensions}))
        command.build_lib, command.build_temp = str(folder), intermediate
        command.ensure_finalized()
        command.run()
