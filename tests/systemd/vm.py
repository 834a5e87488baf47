"""
vm.py COMMAND: boots this machine's own files in a virtual machine with its own Linux kernel and systemd. It has cgroups
of version 2, whatever the host has. There, bash runs COMMAND as root. Output and exit status are COMMAND's.

The kernel is Debian's (the package linux-image-amd64): this machine's, or one that was unpacked into the folder that
VM_KERNEL names. The machine has no network, /tmp is empty, and changes are thrown away. The processor is emulated: it
boots in 15 seconds, and everything takes several times as long. Exit 77: not possible here (prints the reason).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

INIT = Path(__file__).with_name("vm_init.c")
MODULES = ("virtio_pci", "9pnet_virtio", "9p", "overlay")
UNITS = {
    "booted.target": "[Unit]\nRequires=sysinit.target dbus.socket vm-command.service\nAfter=sysinit.target dbus.socket\n",
    "vm-command.service": "[Unit]\nAfter=sysinit.target dbus.socket\nSuccessAction=poweroff-force\nFailureAction=poweroff-force\n"
    "[Service]\nType=oneshot\nExecStart=/bin/bash /run/vm/command\nStandardOutput=file:/run/vm/output\nStandardError=inherit\n",
}


class CannotHere(Exception):
    pass


def find_kernel() -> tuple[Path, Path]:
    """The kernel, and the folder of its modules."""
    top = Path(os.environ.get("VM_KERNEL", "/"))
    for kernel in sorted((top / "boot").glob("vmlinuz-*"), reverse=True):
        modules = top / "lib" / "modules" / kernel.name.removeprefix("vmlinuz-")
        if any(modules.rglob("9p.ko")):
            return kernel, modules
    raise CannotHere(f"needs a kernel with 9p (Debian's linux-image-amd64) in {top}, VM_KERNEL")


def with_needed(modules: Path) -> list[Path]:
    """The modules, each after those that it needs."""
    found = {path.stem.replace("-", "_"): path for path in modules.rglob("*.ko")}
    ordered: list[Path] = []

    def add(name: str) -> None:
        path = found.get(name.replace("-", "_"))
        if path is None or path in ordered:
            return  # None: built into the kernel
        depends = re.search(rb"\0depends=([^\0]*)\0", path.read_bytes())
        for other in depends[1].decode().split(",") if depends and depends[1] else []:
            add(other)
        ordered.append(path)

    for name in MODULES:
        add(name)
    return ordered


def archive(files: dict[str, tuple[int, bytes]]) -> bytes:
    """An archive in the format of the kernel's initial RAM file system: cpio's format newc."""
    packed = b""
    for number, (name, (mode, content)) in enumerate([*files.items(), ("TRAILER!!!", (0, b""))], 1):
        fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        packed += b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
        packed += bytes(-len(packed) % 4) + content
        packed += bytes(-len(packed) % 4)
    return packed


def make_root(folder: Path, modules: Path) -> Path:
    subprocess.run(["gcc", "-static", "-O1", "-o", folder / "init", INIT], check=True)
    loaded = with_needed(modules)
    files = {"init": (0o100755, (folder / "init").read_bytes()), "dev": (0o040755, b"")}
    files |= {path.name: (0o100644, path.read_bytes()) for path in loaded}
    files["modules"] = (0o100644, "".join(f"/{path.name}\n" for path in loaded).encode())
    (folder / "root.cpio").write_bytes(archive(files))
    return folder / "root.cpio"


def run(command: str, folder: Path, time_s: int = 600) -> subprocess.CompletedProcess[str]:
    """
    Returns the exit status and the output; 124: it took longer. `folder` is visible there as /run/vm. CannotHere has
    the reason if this machine cannot run it.
    """
    for program in ("qemu-system-x86_64", "gcc"):
        if not shutil.which(program):
            raise CannotHere(f"needs the program {program} (Debian: qemu-system-x86, gcc)")
    if os.geteuid() != 0:
        raise CannotHere("needs root, to show all files")
    kernel, modules = find_kernel()
    for unit, text in UNITS.items():
        (folder / unit).write_text(text)
    (folder / "command").write_text(f"(\n{command}\n)\necho $? >/run/vm/status\n")
    with tempfile.TemporaryDirectory() as own:
        console = Path(own) / "console"
        qemu = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "3072", "-nodefaults", "-display", "none"]
        qemu += ["-no-reboot", "-serial", f"file:{console}", "-kernel", str(kernel), "-initrd", str(make_root(Path(own), modules))]
        qemu += ["-append", "console=ttyS0 quiet panic=-1 systemd.unit=booted.target systemd.show_status=0"]
        for tag, path, options in (("host", "/", ",readonly=on"), ("vm", folder, "")):
            qemu += ["-fsdev", f"local,id={tag},path={path},security_model=none,multidevs=remap{options}"]
            qemu += ["-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"]
        try:
            subprocess.run(qemu, timeout=time_s, stdin=subprocess.DEVNULL, check=True)
        except subprocess.TimeoutExpired:
            pass
        status, output = folder / "status", folder / "output"
        text = output.read_text(errors="replace") if output.exists() else ""
        if status.exists():
            return subprocess.CompletedProcess(command, int(status.read_text()), text)
        return subprocess.CompletedProcess(command, 124, f"{text}\n--- console\n{console.read_text(errors='replace')[-4000:]}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as shared:
        try:
            done = run(" ".join(sys.argv[1:]), Path(shared))
        except CannotHere as error:
            print(f"vm.py: not possible here: {error}", file=sys.stderr)
            sys.exit(77)
    print(done.stdout, end="")
    sys.exit(done.returncode)
