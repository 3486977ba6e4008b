"""Mail's doors: the SMTP dialogue, what is let in, and when two mails are one.

`dialogue` speaks SMTP; `door` decides and keeps; `recipients` is the filter; `limits` what one
process takes on at a time; `sameness` says when a mail that comes again is the same mail.
"""
