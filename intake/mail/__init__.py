"""Mail, read at the level of programs that do nothing else.

Bytes are cut into parts (`structure`), fields and their text decoded (`headers`,
`encoded_words`, `parameters`, `addresses`), a body chosen (`bodies`), the new text told from
quotes and signature (`replies`), and mail that no person wrote recognised (`bounces`,
`automatic`).
"""

from __future__ import annotations

from intake.mail.message import read_mail

__all__ = ["read_mail"]
