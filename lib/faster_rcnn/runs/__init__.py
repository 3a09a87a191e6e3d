"""What every long run needs: processes, locks, signals, the record of its steps, progress, curves.

Belongs here: what goes on around a computation, whatever is computed.
May import: files, settings.
"""
