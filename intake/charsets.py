"""Bytes to characters, by what they claim, what they are, and what is left when both fail.

Names of charsets are matched as mail writes them, not only as Python knows them; where the web's
Encoding Standard reads a name as a larger charset (latin-1 as windows-1252, gb2312 as gb18030),
so do we: that is what mail programs write under those names.
"""

from __future__ import annotations

import codecs
import re

from charset_normalizer import from_bytes

ALIASES = {
    "ascii": "ascii",
    "usascii": "ascii",
    "ansix341968": "ascii",
    "646": "ascii",
    "iso646us": "ascii",
    "7bit": "ascii",
    "8bit": "",
    "binary": "",
    "default": "",
    "unknown": "",
    "xunknown": "",
    "unknown8bit": "",
    "utf": "utf-8",
    "utf8": "utf-8",
    "utf8mb4": "utf-8",
    "unicode": "utf-8",
    "unicode11utf8": "utf-8",
    "unicode20utf8": "utf-8",
    "xunicode20utf8": "utf-8",
    "unicode11utf7": "utf-7",
    "xunicode20utf7": "utf-7",
    "utf7": "utf-7",
    "utf16": "utf-16",
    "ucs2": "utf-16",
    "iso10646ucs2": "utf-16",
    "latin1": "cp1252",
    "l1": "cp1252",
    "iso88591": "cp1252",
    "iso8859": "cp1252",
    "88591": "cp1252",
    "iso885911987": "cp1252",
    "isoir100": "cp1252",
    "ansi": "cp1252",
    "cp1252": "cp1252",
    "xansi": "cp1252",
    "windows": "cp1252",
    "ansix31101983": "cp1252",
    "xcp1252": "cp1252",
    "iso88599": "cp1254",
    "latin5": "cp1254",
    "iso885911": "cp874",
    "tis620": "cp874",
    "windows874": "cp874",
    "dos874": "cp874",
    "iso88598i": "iso8859_8",
    "iso88598e": "iso8859_8",
    "visual": "iso8859_8",
    "logical": "iso8859_8",
    "iso88596i": "iso8859_6",
    "iso88596e": "iso8859_6",
    "gb2312": "gb18030",
    "gb23121980": "gb18030",
    "gbk": "gb18030",
    "xgbk": "gb18030",
    "cp936": "gb18030",
    "windows936": "gb18030",
    "ms936": "gb18030",
    "csgb2312": "gb18030",
    "euccn": "gb18030",
    "chinese": "gb18030",
    "hzgb2312": "hz",
    "big5": "cp950",
    "big5hkscs": "big5hkscs",
    "xxbig5": "cp950",
    "cnbig5": "cp950",
    "ksc56011987": "cp949",
    "ksc5601": "cp949",
    "ksc56011989": "cp949",
    "ks5601": "cp949",
    "ksc": "cp949",
    "ks": "cp949",
    "euckr": "cp949",
    "korean": "cp949",
    "cseuckr": "cp949",
    "windows949": "cp949",
    "uhc": "cp949",
    "5601": "cp949",
    "shiftjis": "cp932",
    "sjis": "cp932",
    "xsjis": "cp932",
    "mskanji": "cp932",
    "shiftjis2004": "shift_jis_2004",
    "windows31j": "cp932",
    "cswindows31j": "cp932",
    "cp932": "cp932",
    "windows932": "cp932",
    "ms932": "cp932",
    "iso2022jp": "iso2022_jp",
    "csiso2022jp": "iso2022_jp",
    "iso2022jpms": "iso2022_jp",
    "cp50220": "iso2022_jp",
    "cp50221": "iso2022_jp",
    "cp50222": "iso2022_jp",
    "eucjp": "euc_jp",
    "xeucjp": "euc_jp",
    "eucjpms": "euc_jp",
    "iso2022kr": "iso2022_kr",
    "koi8": "koi8_r",
    "koi8r": "koi8_r",
    "koi": "koi8_r",
    "cskoi8r": "koi8_r",
    "koi8u": "koi8_u",
    "koi8ru": "koi8_u",
    "macintosh": "mac_roman",
    "xmacroman": "mac_roman",
    "mac": "mac_roman",
    "xmaccyrillic": "mac_cyrillic",
    "xmaccentraleurroman": "mac_latin2",
    "xmacce": "mac_latin2",
    "xmacgreek": "mac_greek",
    "xmacturkish": "mac_turkish",
    "dos": "cp437",
    "ibm850": "cp850",
    "visciiqp": "cp1258",
}

# Text codecs of Python's that are no charsets of documents, some of them slow on purpose-made input
NOT_CHARSETS = {"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined", "mbcs"}

BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

# Where most letters are beyond ASCII, and nothing says what they are
GUESSED = [
    *("cp1251", "koi8_r", "cp866", "cp1253", "cp1255", "cp1256", "cp874"),
    *("gb18030", "big5", "cp932", "euc_jp", "cp949"),
]
SAMPLE_BYTES = 20_000  # guessing is slow, and a charset shows itself early

_NOT_ALPHANUMERIC = re.compile(r"[^a-z0-9]")
_SURROGATES = re.compile("[\ud800-\udfff]")
_NEWLINES = re.compile("\r\n|\r|\u2028|\u2029")
_ASCII_LETTERS = re.compile(rb"[A-Za-z]")
_JIS_ESCAPE = re.compile(rb"(\x1b(?:\$\([A-Z]|\$[@AB]|\([A-Z]))")
_C1_CONTROLS = re.compile("[\x80-\x9f]")
# As the web reads them: nobody writes these controls, but many a program mislabels windows-1252
_AS_WINDOWS_1252 = {code: bytes((code,)).decode("cp1252", "ignore") for code in range(0x80, 0xA0)}


def find_codec(name: str | None) -> str | None:
    """Return Python's name for a charset as mail writes it, or None when there is none."""
    key = _NOT_ALPHANUMERIC.sub("", (name or "").lower()[:60])
    if not key:
        return None
    if key in ALIASES:
        return ALIASES[key] or None
    guesses = [key]
    if match := re.fullmatch(r"(?:x)?(?:cp|windows|win|ibm|dos|codepage)0*(\d{3,5})", key):
        guesses.append(f"cp{match[1]}")
    if match := re.fullmatch(r"(?:x)?(?:iso)?_?8859(\d{1,2})(?:i|e|\d{4})?", key):
        guesses.append(f"iso8859_{match[1]}")
    guesses.append((name or "").strip().strip("'\"").lower())
    for guess in guesses:
        codec = _lookup(guess)
        if codec:
            return codec
    return None


def _lookup(name: str) -> str | None:
    try:
        found = codecs.lookup(name)
        b"".decode(found.name)  # raises for codecs that are not of text: zlib, hex, …
    except (LookupError, ValueError, TypeError, UnicodeError, AssertionError):
        return None
    return None if found.name.replace("_", "-") in NOT_CHARSETS else found.name


def decode(data: bytes, declared: str | None = None) -> str:
    """Return the characters of `data`; never fails, and marks what it cannot read as U+FFFD.

    A byte-order mark is believed before the declared charset, and the declared charset only as
    far as the bytes agree with it.
    """
    for mark, codec in BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(codec, "replace")
    codec_name = find_codec(declared) or "ascii"
    if codec_name == "cp1252":
        return _decode_latin(data)
    if codec_name == "ascii":
        try:
            if b"\x1b$" in data:  # Japanese in seven bits, undeclared
                return _decode_jis(data)
            return data.decode("utf-8")
        except UnicodeDecodeError:
            return _guess(data)
    try:
        return data.decode(codec_name)
    except (UnicodeError, ValueError):
        return _decode_damaged(data, codec_name)


def _decode_latin(data: bytes) -> str:
    """Return windows-1252, unless the bytes are plainly UTF-8 under a wrong name."""
    if data.isascii():
        return data.decode("ascii")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return windows_1252(data)
    # Valid UTF-8 beyond ASCII hardly ever happens by chance, a wrong label often does
    return text


def windows_1252(data: bytes) -> str:
    """Return windows-1252 as the web reads it: its five holes are the C1 controls."""
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError:
        return "".join(
            bytes((byte,)).decode("cp1252", "ignore") or chr(byte) if byte >= 128 else chr(byte)
            for byte in data
        )


def _decode_damaged(data: bytes, codec: str) -> str:
    if codec == "iso2022_jp":
        return _decode_jis(data)
    text = data.decode(codec, "replace")
    if codec == "utf-8":
        wrong = text.count("\ufffd")
        beyond_ascii = sum(byte >= 128 for byte in data[:SAMPLE_BYTES])
        # a few bad bytes are damage; mostly bad bytes are another charset
        return text if wrong * 4 <= beyond_ascii else _guess(data)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return text


def _decode_jis(data: bytes) -> str:
    """Return seven-bit Japanese, with the characters that Windows adds to it."""
    for codec in ("iso2022_jp", "iso2022_jp_2", "iso2022_jp_ext", "iso2022_jp_2004"):
        try:
            return data.decode(codec)
        except UnicodeDecodeError:
            continue
    pieces: list[str] = []
    double = kana = False
    for piece in _JIS_ESCAPE.split(data):
        if piece.startswith(b"\x1b"):
            double, kana = piece[1:2] == b"$", piece == b"\x1b(I"
        elif double:
            pieces.append(_as_shift_jis(piece).decode("cp932", "replace"))
        else:
            shifted = bytes(byte | 0x80 for byte in piece) if kana else piece
            pieces.append(shifted.decode("cp932", "replace"))
    return "".join(pieces)


def _as_shift_jis(data: bytes) -> bytes:
    """Return the bytes that stand in Shift JIS for rows and cells of JIS X 0208."""
    found = bytearray()
    for row, cell in zip(data[::2], data[1::2], strict=False):
        lead = (row + 1) // 2 + (0x70 if row < 0x5F else 0xB0)
        odd = cell + (0x20 if cell >= 0x60 else 0x1F)
        found += bytes((lead & 0xFF, (odd if row % 2 else cell + 0x7E) & 0xFF))
    return bytes(found)


def _guess(data: bytes) -> str:
    """Return the likeliest reading of bytes that say nothing true of their charset."""
    if data[:4].count(0) == 2:
        for codec in ("utf-16-le", "utf-16-be"):
            try:
                return data.decode(codec)
            except UnicodeDecodeError:
                continue
    sample = data[:SAMPLE_BYTES]
    beyond_ascii = sum(byte >= 128 for byte in sample)
    letters = len(_ASCII_LETTERS.findall(sample))
    if beyond_ascii < 0.7 * letters:  # accents among letters: western text far more often than not
        return windows_1252(data)
    best = from_bytes(sample, chunk_size=256, steps=5, cp_isolation=GUESSED).best()
    if best is None:
        return windows_1252(data)
    return data.decode(find_codec(best.encoding) or best.encoding, "replace")


def clean(text: str) -> str:
    """Return text that can be stored anywhere: no NUL, no lone surrogates, newlines as `\\n`."""
    if "\x00" in text:
        text = text.replace("\x00", "")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        text = _SURROGATES.sub("\ufffd", text)
    if _C1_CONTROLS.search(text):
        text = text.translate(_AS_WINDOWS_1252)
    return _NEWLINES.sub("\n", text)
