"""What every benchmark needs: a line of a figure, and what a process has cost so far."""
import os
import pathlib
import re


def report(name, value, unit, limit, limit_unit, workload):
    print(f"bench: {name} {value:.1f} {unit} (limit {limit:.1f} {limit_unit}, ratio {value / limit:.2f}; {workload})", flush=True)


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def kilobytes(pid, field):
    status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.search(rf"{field}:\s+(\d+) kB", status).group(1))


def peak_memory_mb(pid):
    return kilobytes(pid, "VmHWM") / 1024


def memory_mb(pid):
    return kilobytes(pid, "VmRSS") / 1024
