"""Mail that lies in other servers' mailboxes: read over IMAP, never changed there.

Every folder is opened with EXAMINE and every mail fetched with PEEK, so a mailbox is the same after
we looked as before. How far a folder was read is kept in the ledger by UID and UIDVALIDITY.
"""
