"""What the interpreter and the system allow, for `spprof doctor`: read, not tried."""

from __future__ import annotations

import os
import platform
import sys
import sysconfig
from typing import Any

# Bits of CapEff that let perf see the kernel, from linux/capability.h.
_CAP_SYS_ADMIN, _CAP_PERFMON = 21, 38


def interpreter() -> dict[str, Any]:
    """The interpreter that runs this."""
    gil = getattr(sys, "_is_gil_enabled", None)
    return {
        "version": platform.python_version(),
        "implementation": platform.python_implementation(),
        "executable": sys.executable,
        "compiler": platform.python_compiler(),
        "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        "gil_enabled": True if gil is None else bool(gil()),
        "debug_build": hasattr(sys, "gettotalrefcount"),
    }


def system() -> dict[str, Any]:
    """The operating system and what it limits. None: not known here."""
    status = _fields("/proc/self/status")
    capabilities = int(status["CapEff"], 16) if "CapEff" in status else None
    return {
        "system": platform.system(),
        "release": platform.release(),
        "machine": platform.machine(),
        "libc": " ".join(filter(None, platform.libc_ver())) or None,
        "container": container(),
        "user_id": os.getuid() if hasattr(os, "getuid") else None,
        "seccomp": _number(status.get("Seccomp")),
        "no_new_privileges": _number(status.get("NoNewPrivs")),
        "may_see_kernel": None
        if capabilities is None
        else bool(capabilities & (1 << _CAP_SYS_ADMIN | 1 << _CAP_PERFMON)),
        "perf_event_paranoid": _number(_line("/proc/sys/kernel/perf_event_paranoid")),
        "open_files_limit": _open_files_limit(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "cpu_quota": _cpu_quota(),
        "environment": {
            name: value for name, value in sorted(os.environ.items()) if value and name.startswith("SPPROF_")
        },
    }


def container() -> str | None:
    """The kind of container that this process seems to be in."""
    for path, name in (("/.dockerenv", "docker"), ("/run/.containerenv", "podman")):
        if os.path.exists(path):
            return name
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return "kubernetes"
    # Set by systemd-nspawn, LXC and others for what they start.
    return os.environ.get("container") or None  # noqa: SIM112


def seccomp_in_words(mode: int | None) -> str:
    """The Seccomp field of /proc/self/status."""
    words = {None: "unknown", 0: "off", 1: "strict", 2: "a filter is on: it may refuse system calls"}
    return words.get(mode, str(mode))


def _open_files_limit() -> int | None:
    try:
        import resource
    except ImportError:
        return None
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if soft == resource.RLIM_INFINITY else soft


def _cpu_quota() -> float | None:
    """CPUs' worth of time that the control group may use; None: no limit or not known."""
    text = _line("/sys/fs/cgroup/cpu.max")
    if text:
        quota, _, period = text.partition(" ")
        if quota.isdigit() and period.isdigit() and int(period):
            return int(quota) / int(period)
        return None
    quota_us = _number(_line("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"))
    period_us = _number(_line("/sys/fs/cgroup/cpu/cpu.cfs_period_us"))
    return quota_us / period_us if quota_us and quota_us > 0 and period_us else None


def _fields(path: str) -> dict[str, str]:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            pairs = (line.partition(":") for line in file)
            return {name: value.strip() for name, _, value in pairs}
    except OSError:
        return {}


def _line(path: str) -> str | None:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.readline().strip()
    except OSError:
        return None


def _number(text: str | None) -> int | None:
    try:
        return int(text) if text else None
    except ValueError:
        return None
