"""What every long run needs: processes, the record of finished steps, progress, curves.

Belongs here: what goes on around a computation, whatever is computed.
May import: files, settings.
"""
