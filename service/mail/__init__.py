"""Mail's door: the SMTP dialogue and what is let in.

`dialogue` speaks SMTP; `door` decides and keeps; `recipients` is the filter; `limits` what one
process takes on at a time. When a mail that comes again is the same mail says intake.
"""
