"""Builds the optional compiled kernel; everything else of the distribution is in pyproject.toml.

With ANDON_REQUIRE_KERNEL=1 (continuous integration) a build without the kernel fails.
"""

import os
from pathlib import Path

from setuptools import Extension, setup

REQUIRED = os.environ.get("ANDON_REQUIRE_KERNEL", "") == "1"


def kernel() -> list[Extension]:
    """The compiled kernel, or nothing where it cannot be built and need not be."""
    try:
        from Cython.Build import cythonize
    except ImportError:
        if REQUIRED:
            raise
        return []
    extensions = [
        Extension(
            f"edge_node.kernel.{source.stem}",
            [str(source)],
            extra_compile_args=[] if os.name == "nt" else ["-O3"],
            optional=not REQUIRED,
        )
        for source in sorted(Path("edge_node/kernel").glob("*.pyx"))
    ]
    return cythonize(extensions, build_dir="build/cython", quiet=True)


setup(ext_modules=kernel())
