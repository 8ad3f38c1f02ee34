#!/usr/bin/env python3
"""Writes a layer that would do harm, or is odd: hostile.py KIND OUTPUT [OUTSIDE]

OUTSIDE is a folder of the host with a file `victim` in it, which no layer may change or show.
"""
import io
import sys
import tarfile


def entry(tar, name, kind=tarfile.REGTYPE, data=b"", link="", mode=0o644, **more):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode, info.size = kind, link, mode, len(data)
    for key, value in more.items():
        setattr(info, key, value)
    tar.addfile(info, io.BytesIO(data))


def dots(tar, outside):
    entry(tar, "../../../../../../../../" + outside + "/made", data=b"out")


def link_out(tar, outside):
    entry(tar, "way", tarfile.SYMTYPE, link=outside)
    entry(tar, "way/victim", data=b"changed")
    entry(tar, "up", tarfile.SYMTYPE, link="../../../../../../../../.." + outside)
    entry(tar, "up/victim", data=b"changed")


def hard_link_out(tar, outside):
    entry(tar, "stolen", tarfile.LNKTYPE, link=outside + "/victim")


def hard_link_through(tar, outside):
    entry(tar, "way", tarfile.SYMTYPE, link=outside)
    entry(tar, "stolen", tarfile.LNKTYPE, link="way/victim")


def whiteout_up(tar, outside):
    entry(tar, "etc/.wh...")


def whiteout_through(tar, outside):
    entry(tar, "way", tarfile.SYMTYPE, link=outside)
    entry(tar, "way/.wh.victim")
    entry(tar, "way/.wh..wh..opq")


def devices(tar, outside):
    entry(tar, "dev/mem", tarfile.CHRTYPE, devmajor=1, devminor=1, mode=0o666)
    entry(tar, "disk", tarfile.BLKTYPE, devmajor=8, devminor=0, mode=0o666)
    entry(tar, "white", tarfile.CHRTYPE, devmajor=0, devminor=0)
    entry(tar, "pipe", tarfile.FIFOTYPE)
    entry(tar, "setuid", data=b"x", mode=0o6755, uid=0, gid=0)
    entry(tar, "xattrs", data=b"x", pax_headers={
        "SCHILY.xattr.user.overlay.opaque": "y", "SCHILY.xattr.security.capability": "x"})
    entry(tar, "closed", tarfile.DIRTYPE, mode=0o000)
    entry(tar, "closed/inner", data=b"inner", mode=0o000)


def opaque_after(tar, outside):
    entry(tar, "folder/new", data=b"new")
    entry(tar, "folder/.wh..wh..opq")
    entry(tar, ".wh.gone")


def absolute(tar, outside):
    entry(tar, "/etc/absolute", data=b"absolute")
    entry(tar, "./././etc//dotted", data=b"dotted")
    entry(tar, "äöü/ß", data=b"utf8")


def root_link(tar, outside):
    entry(tar, ".", tarfile.SYMTYPE, link=outside)
    entry(tar, "/", tarfile.SYMTYPE, link=outside)
    entry(tar, "etc", tarfile.SYMTYPE, link=outside)


def passwd_link(tar, outside):
    entry(tar, "etc/passwd", tarfile.SYMTYPE, link=outside + "/victim")
    entry(tar, "etc/resolv.conf", tarfile.SYMTYPE, link=outside + "/victim")
    entry(tar, "run", tarfile.SYMTYPE, link=outside)
    entry(tar, "tmp", tarfile.SYMTYPE, link=outside)
    entry(tar, "home", tarfile.SYMTYPE, link=outside)


def holes(tar, outside):
    size = 1 << 40
    entry(tar, "hole", data=b"x", pax_headers={
        "GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.name": "hole",
        "GNU.sparse.size": str(size), "GNU.sparse.numblocks": "1", "GNU.sparse.map": f"{size - 1},1"})


def folders(tar, outside):
    for i in range(3):
        entry(tar, "deep/" + "d/" * (2000 * i) + "x", data=b"x")


class Zeros(io.RawIOBase):
    def __init__(self, left):
        self.left = left

    def readable(self):
        return True

    def readinto(self, buffer):
        count = min(len(buffer), self.left)
        buffer[:count] = bytes(count)
        self.left -= count
        return count


def bomb(tar, outside):
    size = 700 << 20
    info = tarfile.TarInfo("zeros")
    info.size = size
    tar.addfile(info, io.BufferedReader(Zeros(size)))


def main(kind, output, outside="/nowhere"):
    with tarfile.open(output, "w", format=tarfile.PAX_FORMAT) as tar:
        globals()[kind.replace("-", "_")](tar, outside)


if __name__ == "__main__":
    main(*sys.argv[1:])
