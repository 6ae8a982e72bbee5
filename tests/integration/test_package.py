"""The Debian packages, installed into a root of their own: usage: test_package.py BUILD [NAME ...]"""
import functools
import os
import pathlib
import re
import shutil
import sys
import tempfile

from cli_harness import SOURCE, Skipped, equal, main
from install_harness import BUILD, FOLDER, blocks, lines_of, run

NAMES = {"headgate", "libheadgate0", "libheadgate-dev"}
SYSTEM = pathlib.Path("/var/lib/dpkg")


@functools.cache
def packages():
    """Name -> file."""
    for program in ("cpack", "dpkg-deb", "dpkg-shlibdeps", "file"):
        if not shutil.which(program):
            raise Skipped(f"no {program}: packages are made on Debian, with dpkg-dev")
    run("cpack", "-G", "DEB", "-B", FOLDER / "packages", "--config", BUILD / "CPackConfig.cmake", cwd=BUILD)
    return {file.name.split("_")[0]: file for file in (FOLDER / "packages").glob("*.deb")}


def field(package, name):
    return run("dpkg-deb", "--field", packages()[package], name).strip()


def files_of(package):
    listed = run("dpkg-deb", "--contents", packages()[package]).splitlines()
    return {line.split()[5].removeprefix("./"): line.split()[:2] for line in listed if not line.startswith("d")}


def depends(package):
    return {part.split()[0] for part in field(package, "Depends").split(", ")}


def scripts_of(package):
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        run("dpkg-deb", "--control", packages()[package], folder)
        return set(os.listdir(folder)) - {"control", "md5sums"}


def test_what_is_in_them():
    equal(set(packages()), NAMES)
    for package in NAMES:
        files = files_of(package)
        for path, (mode, owner) in files.items():
            equal(owner, "root/root", path)
            assert mode[0] == "l" or mode in ("-rw-r--r--", "-rwxr-xr-x"), f"{path}: {mode}"
        assert f"usr/share/doc/{package}/copyright" in files, files
    equal(scripts_of("headgate"), {"postinst", "prerm", "postrm"})
    equal(scripts_of("libheadgate0"), {"postinst", "postrm", "shlibs"})
    program = files_of("headgate")
    for path in ("usr/bin/headgate", "usr/lib/systemd/system/headgate.service", "usr/lib/sysusers.d/headgate.conf",
                 "usr/share/bash-completion/completions/headgate", "usr/share/zsh/vendor-completions/_headgate",
                 *(f"usr/share/man/man1/{page.name}" for page in (SOURCE / "docs" / "man").glob("*.1"))):
        assert path in program, path
    for document in (SOURCE / "docs").glob("*.md"):
        assert f"usr/share/doc/headgate/docs/{document.name}" in program, document.name
    for path in ("docs/embedding.md", "examples/embed.c", "examples/event_loop.c"):
        assert f"usr/share/doc/libheadgate-dev/{path}" in files_of("libheadgate-dev"), path
    assert not any("libheadgate" in path for path in program), program
    assert "usr/include/headgate.h" in files_of("libheadgate-dev")
    equal({path for path in files_of("libheadgate0") if "/doc/" not in path},
          {f"usr/lib/libheadgate.so.0", f"usr/lib/libheadgate.so.{field('libheadgate0', 'Version')}"})


def dead_links(folder):
    for path in sorted(folder.rglob("*.md")):
        text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.M | re.S)
        for link in re.findall(r"\]\(([^)\s]+)\)", text):
            file = link.partition("#")[0]
            if file and not re.match(r"\w+:", file) and not (path.parent / file).exists():
                yield f"{path.relative_to(folder)}: there is no {link}"


def test_links_of_documents_lead_somewhere():
    """In each package alone: the others may not be there."""
    for package in NAMES:
        with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
            run("dpkg-deb", "--extract", packages()[package], folder)
            documents = pathlib.Path(folder) / "usr/share/doc" / package
            dead = list(dead_links(documents))
            assert not dead, "\n".join(dead)
            if package == "headgate":  # that it looks
                (documents / "docs" / "configuration.md").unlink()
                assert any("configuration.md" in link for link in dead_links(documents))


def test_what_they_need():
    library = depends("libheadgate0")
    assert {"libc6", "libzmq5", "libsqlite3-0"} <= library, library
    assert not any("curl" in name or "microhttpd" in name for name in library), library
    assert any(name.startswith("libcurl") for name in depends("headgate")), depends("headgate")
    equal(field("libheadgate-dev", "Depends"), f"libheadgate0 (= {field('libheadgate0', 'Version')})")


def new_root():
    """A root in which those packages of this system are that ours need, as far as dpkg knows, and nothing else."""
    if os.geteuid() != 0:
        raise Skipped("not root: packages are built and looked at, not installed")
    if not (SYSTEM / "status").exists():
        raise Skipped(f"no {SYSTEM}/status: this system has no packages")
    root = FOLDER / "root"
    admin = root / SYSTEM.relative_to("/")
    for folder in admin / "info", admin / "updates", root / "etc":
        folder.mkdir(parents=True)
    wanted = set().union(*map(depends, NAMES))
    installed = {re.search("^Package: (.*)", stanza, re.MULTILINE)[1]: stanza
                 for stanza in (SYSTEM / "status").read_text().split("\n\n") if stanza.strip()}
    (admin / "status").write_text("\n\n".join(stanza for name, stanza in installed.items() if name in wanted) + "\n")
    for file in (SYSTEM / "info").iterdir():
        if file.name == "format" or file.suffix == ".list" and file.stem.split(":")[0] in wanted:
            shutil.copy(file, admin / "info")
    return root


def tree(root):
    return {str(path.relative_to(root)) for path in root.rglob("*") if SYSTEM.name not in path.parts}


def dpkg(root, *arguments):
    # scripts run outside the root, and are told of it (DPKG_ROOT): there is no shell in it
    return run("dpkg", f"--root={root}", f"--log={root}.log", "--force-script-chrootless", "--force-unsafe-io",
               *arguments)


def states(root):
    """Name -> how dpkg sees it."""
    admin = root / SYSTEM.relative_to("/")
    listed = run("dpkg-query", f"--admindir={admin}", "-W", "-f", "${Package}=${Status}\n")
    return {name: state for name, _, state in (line.partition("=") for line in listed.splitlines()) if name in NAMES}


def test_they_install_run_and_go():
    files = packages()
    root = new_root()
    before = tree(root)
    dpkg(root, "--install", *files.values())
    equal(states(root), dict.fromkeys(NAMES, "install ok installed"))
    equal(run(root / "usr/bin/headgate", "--version").split()[0], "headgate")
    unit = (root / "usr/lib/systemd/system/headgate.service").read_text()
    assert "ExecStart=/usr/bin/headgate serve" in unit, unit
    if shutil.which("systemd-sysusers"):
        assert re.search("^headgate:", (root / "etc/passwd").read_text(), re.MULTILINE), "no user"

    # the README's program, from what the packages brought
    folder = FOLDER / "from-packages"
    folder.mkdir()
    (folder / "embed.c").write_text(blocks("README.md", "c")[0])
    where = {"PKG_CONFIG_PATH": str(root / "usr/lib/pkgconfig"), "PKG_CONFIG_SYSROOT_DIR": str(root),
             "PKG_CONFIG_ALLOW_SYSTEM_LIBS": "1", "PKG_CONFIG_ALLOW_SYSTEM_CFLAGS": "1"}
    run("sh", "-c", lines_of("README.md", "cc embed.c")[0], cwd=folder, LD_LIBRARY_PATH=str(root / "usr/lib"), **where)
    assert "10,000" in run(root / "usr/bin/headgate", "status", "--ledger", folder / "embed.db")

    (root / "var/lib/headgate").mkdir(parents=True)
    dpkg(root, "--purge", *NAMES)
    left = tree(root) - before - {"var/lib/headgate"}
    # the user stays with what it owns; ldconfig has a cache
    stays = r"etc/(g?shadow|passwd|group|\.pwd\.lock)-?|etc/ld\.so\.cache|var/cache(/ldconfig(/aux-cache)?)?|run"
    equal([path for path in left if not re.fullmatch(stays, path)], [], "left behind")
    equal(states(root), {}, "packages that dpkg still knows")


if __name__ == "__main__":
    sys.exit(main(dict(globals())))
