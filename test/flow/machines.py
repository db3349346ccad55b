"""Two machines and the cable between them, as far as an unprivileged user can have them: two network namespaces joined by a
pair of interfaces. Nothing of it reaches beyond the two.
"""
import os
import pathlib

from harness import Process

# As an unprivileged user, in a user namespace of its own, where it may do this; ends with its standard input's writer.
SCRIPT = """
set -e
ip link set lo up
ip link add name near0 type veth peer name far0
ip address add 10.99.0.1/24 dev near0
ip link set near0 up
unshare --net sh -c 'echo far $$; exec cat <"$0"' "$0" &
read -r far <"$1"
ip link set far0 netns "$far"
nsenter --net --target "$far" ip link set lo up
nsenter --net --target "$far" ip address add 10.99.0.2/24 dev far0
nsenter --net --target "$far" ip link set far0 up
echo near $$
while read -r what; do
    ip link set near0 "$what"
    echo "the cable is $what"
done <"$1"
"""


class TwoMachines:
    """`near` and `far` are words before a command that is to run there."""

    near_host = "10.99.0.1"

    def __init__(self, directory):
        self.orders = pathlib.Path(directory) / "orders"
        self.life = pathlib.Path(directory) / "life"
        for path in (self.orders, self.life):
            os.mkfifo(path)
        self.process = Process("unshare", "--user", "--map-current-user", "--keep-caps", "--net", "sh", "-c", SCRIPT, self.life,
                               self.orders)
        self.living = os.open(self.life, os.O_RDWR)
        self.writer = os.open(self.orders, os.O_RDWR)  # kept open, so that the reader never sees an end
        far = self.process.wait_line(r"far (\d+)").group(1)
        self.order(far)
        near = self.process.wait_line(r"near (\d+)").group(1)
        self.near, self.far = self.words(near), self.words(far)

    @staticmethod
    def words(pid):
        return ["nsenter", "--user", "--net", "--preserve-credentials", "--target", pid]

    def order(self, words):
        os.write(self.writer, f"{words}\n".encode())

    def cut(self):
        begun = self.process.mark()
        self.order("down")
        self.process.wait_line("the cable is down", begun)

    def mend(self):
        begun = self.process.mark()
        self.order("up")
        self.process.wait_line("the cable is up", begun)

    def close(self):
        os.close(self.writer)
        os.close(self.living)
        self.process.wait_end()
