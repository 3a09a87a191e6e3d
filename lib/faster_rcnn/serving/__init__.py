"""A page on this machine that looks at pictures and videos with a trained detector.

Belongs here: the page, its server, and what protects both.
May import: files, images, reports.html.
"""
