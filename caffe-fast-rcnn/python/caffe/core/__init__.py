"""What all other packages use: blobs, the state of the process, errors, the log, opening files.

Belongs here: what knows neither forms of files nor nets nor layers. May import: operators, of which
`state` asks whether they can compute on a GPU.
"""
