# In a network namespace of its own: loads a ruleset, and says of each destination what becomes of a
# connection. Nobody listens there, so that one that gets through is refused by the other end.
# Usage: unshare -rn python3 reach.py RULESET ADDRESS:PORT[/udp]…
import errno
import socket
import subprocess
import sys

ADDRESSES = ['10.20.0.1/32', '10.20.255.1/32', '192.0.2.1/32', '198.51.100.7/32', '203.0.113.5/32',
             '169.254.169.254/32', 'fd12::1/128', 'fd00:ec2::254/128']


def become(address, port, kind):
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    with socket.socket(family, kind) as s:
        s.settimeout(5)
        try:
            s.connect((address, port))
            if kind == socket.SOCK_DGRAM:
                s.send(b'x')
                s.recv(1)
            return 'open'
        except OSError as error:
            if error.errno == errno.ECONNREFUSED:
                return 'reached'
            if error.errno in (errno.EHOSTUNREACH, errno.EACCES, errno.EPERM):
                return 'rejected'
            return str(error)


def sh(*lines):
    subprocess.run(['sh', '-ec', '\n'.join(lines)], check=True)


# The other end is another namespace, because loopback is exempt from rules about everything.
other = subprocess.Popen(['unshare', '-n', 'sh', '-c', 'echo; exec cat'], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE)
other.stdout.readline()
there = f'nsenter -t {other.pid} -n'
sh('ip link set lo up', f'ip link add here type veth peer name there netns {other.pid}',
   'ip addr add 10.0.9.1/24 dev here', 'ip addr add fd99::1/64 dev here nodad',
   'ip link set here up', f'{there} ip link set lo up',
   f'{there} ip addr add 10.0.9.2/24 dev there', f'{there} ip addr add fd99::2/64 dev there nodad',
   f'{there} ip link set there up', 'ip route add default via 10.0.9.2',
   'ip -6 route add default via fd99::2',
   *(f'{there} ip addr add {address} dev lo' for address in ADDRESSES))
subprocess.run(['nft', '-f', sys.argv[1]], check=True)
for destination in sys.argv[2:]:
    place, _, kind = destination.partition('/')
    address, port = place.rsplit(':', 1)
    print(destination, become(address, int(port),
                              socket.SOCK_DGRAM if kind == 'udp' else socket.SOCK_STREAM))
other.stdin.close()
other.wait()
