"""What can be wrong with a mailbox, in sentences for the person who set it up."""

from __future__ import annotations


class MailboxError(Exception):
    """On top of this room's errors; `code` is for programs and never changes."""

    code = "mailbox_error"


class BadAccounts(MailboxError):
    """`mailboxes.toml` cannot be used; the sentence names the account and the entry."""

    code = "bad_mailboxes_file"


class SignInRefused(MailboxError):
    """The server did not take the name with this password or token."""

    code = "sign_in_refused"


class NotSignedIn(MailboxError):
    """There is no password or token yet, or the tokens can no longer be renewed."""

    code = "not_signed_in"


class AuthorizationFailed(MailboxError):
    """The authorization server refused, or did not answer."""

    code = "authorization_failed"


class AuthorizationUnreachable(MailboxError):
    """The authorization server did not answer now; later it may."""

    code = "authorization_unreachable"


class MailboxUnreachable(MailboxError):
    """The mail server does not answer, closed the connection or spoke no IMAP."""

    code = "mailbox_unreachable"


class BadCertificate(MailboxError):
    """The mail server could not show that it is the one it should be."""

    code = "bad_certificate"
