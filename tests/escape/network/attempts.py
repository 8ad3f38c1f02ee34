"""What a command inside tries, to get past the network door; each says whether it was contained.

    attempts.py NAME=PORT... [ATTEMPT]

The ports are those of servers.py, outside; whether anybody has come by there is for the caller to
see. The layers allow plain.test (anything), secure.test (https alone), and the names below
`leads-`, which lead to addresses that no rule names.
"""
import os
import random
import socket
import ssl
import struct
import sys
import threading

ports = {}
only = None
for word in sys.argv[1:]:
    name, sign, port = word.partition("=")
    if sign:
        ports[name] = int(port)
    else:
        only = name

PATIENCE = 20
attempts = []


def attempt(function):
    attempts.append(function)
    return function


class Escaped(Exception):
    pass


def must_fail(function, *arguments):
    """An attempt that gets an answer has got through; any error is a containment."""
    try:
        answer = function(*arguments)
    except OSError:
        return
    if answer:
        raise Escaped(repr(answer)[:100])


def speak(address, port, words=b"GET / HTTP/1.0\r\n\r\n", family=0):
    """Connects, speaks, and returns what is answered: nothing, where it is reset."""
    with socket.socket(family or socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.settimeout(PATIENCE)
        sock.connect((address, port))
        sock.sendall(words)
        return sock.recv(1000)


def query(name, kind, server="198.18.0.1", port=53, tcp=False):
    """Asks a name server; its answer's code and how many records it has. As clients do, again where
    a datagram was lost."""
    for patience in (2, 5):
        try:
            return query_once(name, kind, server, port, tcp, patience)
        except TimeoutError:
            pass
    return query_once(name, kind, server, port, tcp, PATIENCE)


def query_once(name, kind, server, port, tcp, patience):
    labels = b"".join(bytes([len(label)]) + label for label in name.split(b".") if label)
    message = struct.pack(">HHHHHH", random.randrange(65536), 0x0100, 1, 0, 0, 0) + labels + b"\0"
    message += struct.pack(">HH", kind, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as sock:
        sock.settimeout(patience)
        sock.connect((server, port))
        sock.sendall(struct.pack(">H", len(message)) + message if tcp else message)
        answer = sock.recv(4096)[2 if tcp else 0:]
    flags, _, records = struct.unpack(">HHH", answer[2:8])
    return flags & 15, records


def synthetic(name):
    return socket.getaddrinfo(name, 80, socket.AF_INET, socket.SOCK_STREAM)[0][4][0]


def hello(server_name):
    """A ClientHello as a client sends it."""
    context = ssl._create_unverified_context()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=server_name)
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


# ---- addresses ----


@attempt
def raw_address():
    for address in ("203.0.113.7", "192.0.2.2", "10.0.0.1", "169.254.169.254", "100.64.0.1"):
        must_fail(speak, address, ports["http"])


@attempt
def raw_ipv6_address():
    for address in ("2001:db8::7", "fe80::1%lo", "fd00::1", "::ffff:203.0.113.7",
                    "64:ff9b::7f00:1", "fd61:6d61:6368::1", "2002:7f00:1::"):
        must_fail(speak, address, ports["http"], b"GET / HTTP/1.0\r\n\r\n", socket.AF_INET6)


@attempt
def host_loopback():
    for address in ("127.0.0.1", "127.1.2.3", "0.0.0.0"):
        must_fail(speak, address, ports["http"])
    must_fail(speak, "::1", ports["http"], b"GET / HTTP/1.0\r\n\r\n", socket.AF_INET6)


@attempt
def odd_spellings():
    for address in ("3405803783", "0xcb007107", "0313.0.0161.7", "203.28935", "2130706433", "0x7f.1"):
        must_fail(lambda: socket.create_connection((address, ports["http"]), PATIENCE).recv(1))
        if query(address.encode(), 1)[1]:
            raise Escaped(f"{address} was resolved")


@attempt
def synthetic_address_of_nobody():
    socket.getaddrinfo("plain.test", 80)
    for last in range(16):
        address = f"198.18.77.{last}"
        must_fail(speak, address, ports["http"])
    must_fail(speak, "198.18.0.1", ports["http"])


@attempt
def synthetic_address_of_another():
    address = synthetic("plain.test")
    with socket.create_connection((address, ports["https"]), PATIENCE) as sock:
        pass  # the host that was asked for is allowed at any port; secure.test is not it
    must_fail(speak, synthetic("secure.test"), ports["http"])
    must_fail(speak, synthetic("secure.test"), ports["echo"])


@attempt
def listener_of_the_door():
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in table][1:]
    for row in rows:
        port = int(row[1].split(":")[1], 16)
        if row[3] == "0A" and port not in (53, 3128, 11434):  # resolver, proxy and Model Door
            must_fail(speak, "127.0.0.1", port)


@attempt
def names_that_lead_elsewhere():
    for name in ("leads-loopback.test", "leads-link-local.test", "leads-private.test",
                 "leads-metadata.test", "leads-mapped.test", "leads-nat64.test",
                 "leads-shared.test", "leads-unspecified.test"):
        must_fail(lambda: speak(synthetic(name), ports["http"]))


# ---- names ----


@attempt
def names_elsewhere():
    for server in ("198.18.0.1", "8.8.8.8", "203.0.113.53", "127.0.0.1"):
        for tcp in (False, True):
            code, records = query(b"denied.test", 1, server, tcp=tcp)
            if code == 0 or records:
                raise Escaped(f"{server} answers")


@attempt
def names_over_tls_or_https():
    for address in ("1.1.1.1", "8.8.8.8"):
        for port in (853, 443):
            must_fail(speak, address, port, hello("dns.example"))


@attempt
def names_as_a_channel():
    for number in range(100):
        label = os.urandom(30).hex().encode()
        for kind in (1, 16, 10, 5, 255, 28, 65):
            code, records = query(label + b"." + label + b".channel.test", kind)
            if records:
                raise Escaped("an answer with data")


@attempt
def odd_queries():
    for name in (b"plain.test", b"PLAIN.TEST", b"plain.test."):
        for kind in (16, 10, 5, 64, 65, 33, 257, 252, 0, 65535):
            if query(name, kind)[1]:
                raise Escaped(f"{name} has data of type {kind}")
    for name in (b"plain\0.test", b"plain.test\0.denied.test", b"xn--.test", b"*.test", b"-.test"):
        code, records = query(name, 1)
        if records:
            raise Escaped(f"{name!r} was resolved")


@attempt
def torn_queries():
    rest = random.Random(7)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("198.18.0.1", 53))
        for number in range(2000):
            try:
                sock.send(rest.randbytes(rest.randrange(1, 600)))
            except OSError:
                pass
    if query(b"denied.test", 1)[0] == 0:
        raise Escaped("the resolver says otherwise after junk")


# ---- TLS ----


@attempt
def server_name_of_another():
    for name in ("plain.test", "other.test", "secure.test.denied.test", "denied.test"):
        must_fail(speak, synthetic("secure.test"), ports["https"], hello(name))


@attempt
def server_name_absent():
    must_fail(speak, synthetic("secure.test"), ports["https"], hello(None))


@attempt
def server_name_with_bytes():
    whole = hello("secure.test")
    for other in (b"secure\0test", b"secure.tes\0", b"secure.test"[::-1], b"secure tst.", b"SECURE-TEST"):
        must_fail(speak, synthetic("secure.test"), ports["https"], whole.replace(b"secure.test", other))


@attempt
def server_name_late():
    """Another name, in records of one byte each."""
    whole = hello("denied.test")
    body = whole[5:]
    records = b"".join(whole[:3] + b"\0\1" + body[i:i + 1] for i in range(len(body)))
    must_fail(speak, synthetic("secure.test"), ports["https"], records)


@attempt
def server_name_in_pieces():
    whole = hello("denied.test")

    def slowly():
        with socket.create_connection((synthetic("secure.test"), ports["https"]), PATIENCE) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in whole:
                sock.sendall(bytes([byte]))
            return sock.recv(100)
    must_fail(slowly)


@attempt
def not_tls():
    must_fail(speak, synthetic("secure.test"), ports["https"])
    must_fail(speak, synthetic("secure.test"), ports["https"], b"\x16\x03\x01\xff\xff" + b"\0" * 70000)


# ---- the proxy inside ----


def rest(sock):
    """All that still comes, until the end or for two seconds."""
    got = b""
    sock.settimeout(2)
    try:
        while data := sock.recv(4096):
            got += data
    except OSError:
        pass
    return got


def proxied(words, more=b""):
    """What the proxy inside answers; and what comes behind it, where it has opened."""
    with socket.create_connection(("127.0.0.1", 3128), PATIENCE) as sock:
        sock.sendall(words)
        if not more:
            return rest(sock)
        answer = sock.recv(4096)
        if b" 200" in answer[:15]:
            sock.sendall(more)
        return answer + rest(sock)


def socks(host, port, more=b""):
    with socket.create_connection(("127.0.0.1", 3128), PATIENCE) as sock:
        sock.sendall(b"\x05\x01\x00")
        sock.recv(2)
        sock.sendall(b"\x05\x01\x00\x03" + bytes([len(host)]) + host + struct.pack(">H", port))
        try:
            answer = sock.recv(100)
            if answer[1:2] == b"\0":
                sock.sendall(more)
        except OSError:
            return b""
        return rest(sock)


@attempt
def names_for_the_proxy():
    plain = b"GET / HTTP/1.0\r\n\r\n"
    for name in (b"denied.test", b"plain.test\0.denied.test", b"denied.test\0.plain.test",
                 b"plain.test\r\nHost: denied.test", b"plain.test\tx", b"plain.test@denied.test",
                 b"plain.test#denied.test", b"denied.test%00.plain.test", b"127.0.0.1",
                 b"localhost", b"[::1]", b"2130706433", b"0x7f.1", b"203.0.113.7", b""):
        port = ports["http"]
        answer = proxied(b"CONNECT %s:%d HTTP/1.1\r\n\r\n" % (name, port), plain)
        if b"the page" in answer:
            raise Escaped(f"CONNECT {name!r}")
        answer = proxied(b"GET http://%s:%d/ HTTP/1.0\r\n\r\n" % (name, port))
        if b"the page" in answer:
            raise Escaped(f"GET {name!r}")
        if b"the page" in socks(name, port, plain):
            raise Escaped(f"SOCKS {name!r}")


@attempt
def server_name_behind_the_proxy():
    words = b"CONNECT secure.test:%d HTTP/1.1\r\n\r\n" % ports["https"]
    answer = proxied(words, hello("denied.test")).partition(b"\r\n\r\n")[2]
    if answer:
        raise Escaped(repr(answer[:50]))


@attempt
def second_request_to_another():
    """A connection that is kept, with a host in the second request that nobody allows."""
    request = b"GET http://%s:%d/ HTTP/1.1\r\nHost: plain.test\r\n\r\n"
    with socket.create_connection(("127.0.0.1", 3128), PATIENCE) as sock:
        sock.sendall(request % (b"denied.test", ports["http"]) * 2)
        got = rest(sock)
    with socket.create_connection(("127.0.0.1", 3128), PATIENCE) as sock:
        sock.sendall(request % (b"plain.test", ports["echo"]))
        sock.sendall(request % (b"denied.test", ports["http"]))
        got += rest(sock)
    if b"the page" in got:
        raise Escaped("a page of a host that nobody allows")


# ---- other ways out ----


@attempt
def datagrams():
    for family, address in ((socket.AF_INET, "203.0.113.7"), (socket.AF_INET6, "2001:db8::7")):
        for port in (443, 123, 5353, ports["http"]):
            with socket.socket(family, socket.SOCK_DGRAM) as sock:
                sock.settimeout(0.2)
                try:
                    sock.connect((address, port))
                    sock.send(b"\xc0" + b"\0" * 1200)
                    sock.send(b"\xc0" + b"\0" * 1200)
                    raise Escaped(f"a datagram left for {address} port {port}")
                except OSError:
                    pass


@attempt
def other_sockets():
    for family, kind, protocol in ((socket.AF_INET, socket.SOCK_RAW, 1),
                                   (socket.AF_INET, socket.SOCK_DGRAM, 1),
                                   (socket.AF_INET, socket.SOCK_RAW, 255),
                                   (socket.AF_INET6, socket.SOCK_RAW, 58),
                                   (socket.AF_INET, socket.SOCK_STREAM, 132),
                                   (socket.AF_INET, socket.SOCK_SEQPACKET, 132),
                                   (socket.AF_INET, socket.SOCK_STREAM, 262),
                                   (17, socket.SOCK_RAW, 0x0300), (40, socket.SOCK_STREAM, 0),
                                   (38, socket.SOCK_SEQPACKET, 0), (31, socket.SOCK_RAW, 1),
                                   (16, socket.SOCK_RAW, 12)):
        try:
            socket.socket(family, kind, protocol).close()
        except OSError:
            continue
        if family == 16:
            continue  # such a socket changes nothing without the capability
        if (family, kind, protocol) == (socket.AF_INET, socket.SOCK_DGRAM, 1):
            continue  # of the namespace's own, which nothing leaves: see `datagrams`
        raise Escaped(f"a socket of family {family}, kind {kind}, protocol {protocol}")


# ---- floods ----


@attempt
def half_open():
    """As many connections as there are descriptors, and not a word in any of them."""
    kept = []
    try:
        for number in range(5000):
            sock = socket.socket()
            sock.settimeout(PATIENCE)
            kept.append(sock)
            sock.setblocking(False)
            sock.connect_ex((synthetic_secure, ports["https"]))
    except OSError:
        pass
    for sock in kept:
        sock.close()
    must_fail(speak, "203.0.113.7", ports["http"])


@attempt
def denied_names_and_addresses():
    for number in range(20000):
        sock = socket.socket()
        sock.settimeout(PATIENCE)
        try:
            sock.connect((f"203.0.{number >> 8 & 255}.{number & 255}", 443))
        except OSError:
            pass
        sock.close()

    def ask(first):
        for number in range(first, 80000, 4):
            query(b"n%d.denied.test" % number, 1)
    threads = [threading.Thread(target=ask, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    must_fail(speak, "203.0.113.7", ports["http"])


synthetic_secure = synthetic("secure.test")
for function in attempts:
    if only and only != function.__name__:
        continue
    try:
        function()
        print("contained", function.__name__, flush=True)
    except Escaped as escaped:
        print("ESCAPED", function.__name__, escaped, flush=True)
