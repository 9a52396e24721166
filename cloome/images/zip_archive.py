"""Reading the members of a zip archive from several threads, each at its place and into a buffer that is kept.

`zipfile` reads the directory; the members, stored or deflated as all of the screen's are, are then read past it:
libdeflate inflates them twice as fast as zlib.
"""

import os
import struct
import zipfile
from itertools import pairwise
from pathlib import Path

import imagecodecs

from cloome.errors import CloomeError, FormatError

_HEADER = struct.Struct("<4s22xHH")  # signature, length of the name, length of the extra field
_SIGNATURE = b"PK\x03\x04"
_UNREADABLE = 0x1 | 0x20 | 0x40  # flags: encrypted, a patch, strongly encrypted
_UTF_8 = 0x800
USUAL_EXTRA = 64  # bytes in a header, of times and owners


class Buffers:
    """Memory that one thread uses again for each member."""

    def __init__(self):
        self._packed, self._content = bytearray(), bytearray()

    def packed(self, size: int) -> memoryview:
        """Room for the bytes in the archive."""
        if len(self._packed) < size:
            self._packed = bytearray(size)
        return memoryview(self._packed)[:size]

    def content(self, size: int) -> memoryview:
        """Room for the inflated bytes."""
        if len(self._content) < size:
            self._content = bytearray(size)
        return memoryview(self._content)[:size]


class ZipArchive:
    """A zip archive, open for reading; used as a context.

    Parameters
    ----------
    path : Path
        The archive.

    Raises
    ------
    CloomeError
        If it is missing, cannot be read, is truncated or no zip.
    """

    def __init__(self, path: Path):
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except FileNotFoundError as error:
            raise CloomeError(f"{path}: no such archive; run download for it") from error
        except OSError as error:
            raise CloomeError(f"{path}: cannot be read: {error.strerror or error}") from error
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise CloomeError(f"{path}: truncated or not a zip ({error}); delete it and run download again") from error
        self._file = self._zip.fp.fileno()  # read at given places, which leaves zipfile's own place alone
        starts = sorted(info.header_offset for info in self._zip.infolist())
        # Where the next member starts; two that start at one place leave no room for either.
        self._ends = dict(reversed(list(pairwise([*starts, os.fstat(self._file).st_size]))))

    def __enter__(self) -> "ZipArchive":
        return self

    def __exit__(self, *_) -> None:
        self._zip.close()

    def names(self) -> list[str]:
        """Names of all members, as often as the directory has them."""
        return self._zip.namelist()

    def read(self, name: str, limit: int, buffers: Buffers) -> memoryview:
        """Content of a member, valid until `buffers` is used again.

        Raises
        ------
        FormatError
            If the member is damaged, larger than `limit` bytes, encrypted or packed in another way than by deflate.
        """
        info = self._zip.getinfo(name)
        if max(info.file_size, info.compress_size) > limit:
            raise FormatError(f"{name}: {max(info.file_size, info.compress_size)} bytes, allowed are {limit}")
        if info.flag_bits & _UNREADABLE:
            raise FormatError(f"{name}: encrypted in the archive")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            method = zipfile.compressor_names.get(info.compress_type, info.compress_type)
            raise FormatError(f"{name}: packed by the method {method}; zip the archive again with deflate")
        packed = self._packed(info, buffers)
        content = packed if info.compress_type == zipfile.ZIP_STORED else _inflate(info, packed, buffers)
        if len(content) != info.file_size or imagecodecs.deflate_crc32(content) != info.CRC:
            raise _damaged(info, "its size or checksum is not what the archive says")
        return content

    def _packed(self, info: zipfile.ZipInfo, buffers: Buffers) -> memoryview:
        """The bytes of a member in the archive."""
        name = info.orig_filename.encode("utf-8" if info.flag_bits & _UTF_8 else "cp437")
        start = info.header_offset
        if not 0 <= start < self._ends[start]:
            raise _damaged(info, "it lies outside of the archive, or at the place of another member")
        # The extra field may differ from that of the directory, so its length is only known from the file: header and
        # content are read at once, with room for the usual extra field, and a longer one is made up for.
        whole = self._read(start, _HEADER.size + len(name) + USUAL_EXTRA + info.compress_size, buffers)
        begin = _HEADER.size + len(name)
        if len(whole) < begin or whole[:4] != _SIGNATURE or whole[_HEADER.size : begin] != name:
            raise _damaged(info, "it is not where the directory says")
        _, name_length, extra_length = _HEADER.unpack_from(whole)
        begin += extra_length
        if name_length != len(name) or start + begin + info.compress_size > self._ends[start]:
            raise _damaged(info, "it reaches into the next member, or beyond the end")
        if extra_length > USUAL_EXTRA:
            whole, begin = self._read(start + begin, info.compress_size, buffers), 0
        if len(whole) < begin + info.compress_size:
            raise _damaged(info, "it ends early")
        return whole[begin : begin + info.compress_size]

    def _read(self, start: int, size: int, buffers: Buffers) -> memoryview:
        """So many bytes of the file; fewer at its end."""
        room = buffers.packed(size)
        filled = 0
        while filled < size and (read := os.preadv(self._file, [room[filled:]], start + filled)):
            filled += read
        return room[:filled]


def _damaged(info: zipfile.ZipInfo, how: str) -> FormatError:
    return FormatError(f"{info.filename}: damaged in the archive: {how}")


def _inflate(info: zipfile.ZipInfo, packed: memoryview, buffers: Buffers) -> memoryview:
    content = buffers.content(info.file_size)
    try:
        return memoryview(imagecodecs.deflate_decode(packed, raw=True, out=content))
    except (RuntimeError, ValueError) as error:
        raise _damaged(info, str(error)) from error
