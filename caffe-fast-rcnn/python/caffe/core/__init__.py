"""What all other packages use: blobs, the state of the process, errors, the log.

Belongs here: what knows neither files nor nets nor layers. May import: operators, of which
`state` asks whether they can compute on a GPU.
"""
