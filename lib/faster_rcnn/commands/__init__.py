"""What all tools share: options and their types, settings from them, the device, one-line errors.

Belongs here: the command line.
May import: every room but synthetic.
"""
