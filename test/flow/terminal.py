"""A terminal that a test types into and looks at: tmux, with a server of its own."""
import pathlib
import re
import shlex
import subprocess
import time

from harness import LIMIT_S, PIWHEELS, clean_environment


class Terminal:
    """One pane with a shell, so that what a program leaves behind on the terminal can be looked at."""

    def __init__(self, folder, columns=80, rows=24, locale="C.UTF-8"):
        self.socket = pathlib.Path(folder) / "tmux"
        self.asked = 0
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows), "env", "-i",
                  f"LC_ALL={locale}", "PATH=/usr/bin:/bin", "HOME=/nonexistent", "TERM=screen-256color", "PS1=$ ", "sh")
        self.tmux("set-option", "-g", "status", "off")
        self.resize(columns, rows)
        self.wait(r"^\$ *$")

    def tmux(self, *words):
        done = subprocess.run(["tmux", "-S", str(self.socket), *words], capture_output=True, text=True, timeout=LIMIT_S,
                              env=clean_environment(TERM="screen-256color"), check=False)
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout

    def screen(self, *options):
        return self.tmux("capture-pane", "-p", *options)

    def wait_until(self, is_right, what):
        """Until the screen is right; the screen. A look at it may find it half drawn: what is on the last line is there last."""
        limit = time.monotonic() + LIMIT_S
        while not is_right(shown := self.screen()):
            assert time.monotonic() < limit, f"{what} on the screen:\n{shown}"
        return shown

    def wait(self, pattern):
        """Until the screen has the pattern; the screen."""
        return self.wait_until(lambda shown: re.search(pattern, shown, re.M), f"no {pattern!r}")

    def wait_gone(self, pattern):
        return self.wait_until(lambda shown: not re.search(pattern, shown, re.M), f"still {pattern!r}")

    def press(self, *keys):
        """Keys as tmux names them: Enter, Down, q."""
        self.tmux("send-keys", *keys)

    def type(self, line):
        self.tmux("send-keys", "-l", line)
        self.press("Enter")

    def resize(self, columns, rows):
        self.tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def settings(self):
        """What `stty -a` says; the shell must have the terminal, and has it again."""
        self.asked += 1  # the answer before this one may be on the screen still
        self.type(f"clear; stty -a; echo 'that was' {self.asked}")
        shown = self.wait(rf"^speed (.*\n)*that was {self.asked}\n\$ *$")
        return [line for line in shown.splitlines() if "=" in line or line.startswith(("-", " "))]

    def program(self, name):
        """The process id of what runs in the pane under the shell."""
        shell = self.tmux("display-message", "-p", "#{pane_pid}").strip()
        done = subprocess.run(["pgrep", "-P", shell, name], capture_output=True, text=True, check=True)
        return int(done.stdout)

    def start_monitor(self, socket, *words):
        self.type(shlex.join([str(PIWHEELS), "monitor", "--control-socket", str(socket), *words]))

    def close(self):
        self.tmux("kill-server")
