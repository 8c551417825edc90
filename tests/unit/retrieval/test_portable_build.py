"""hnswlib is built for any processor of its kind, not for the one that builds it."""

import re
import shutil
import subprocess

import pytest

BUILD = r"HNSWLIB_NO_NATIVE=1 \S*pip install [^\n]*--no-cache-dir[^\n]*"


def test_set_up_and_conda_environment_build_the_locked_version_portable(repository):
    version = re.search(r"^hnswlib==.*$", (repository / "envs/core.txt").read_text(), flags=re.MULTILINE)[0]
    makefile = (repository / "Makefile").read_text().replace("\\\n", " ")
    assert re.search(BUILD + r"--no-binary hnswlib \$\$\(grep '\^hnswlib==' envs/core\.txt\)", makefile)
    for lock in ("core", "bench"):
        assert re.search(rf"\$\(call portable,[^\n]*\n[^\n]*-r envs/{lock}\.txt", makefile)
    deployed = (repository / "envs/core.post-deploy.sh").read_text()
    assert re.search(rf"{BUILD}--no-binary hnswlib {version}$", deployed, flags=re.MULTILINE)


@pytest.mark.skipif(not shutil.which("objdump"), reason="needs objdump (Debian: binutils)")
def test_the_installed_build_has_no_instructions_that_older_processors_lack():
    import hnswlib

    code = subprocess.run(["objdump", "-d", hnswlib.__file__], capture_output=True, text=True, check=True).stdout
    assert "%xmm" in code or "aarch64" in code  # it could be read
    assert not re.search(r"%[yz]mm\d", code)  # AVX, AVX-512
