"""Training methods: a module each, whose `files` makes its nets and solvers for any backbone.

    METHOD              the method's folder, models/<data set>/<backbone>/<METHOD>
    files(backbone)     {file name: function that makes the net or the solver's text}

detector.py has what the methods are put together from, solvers.py the text of a solver.

Belongs here: which layers the nets of a training method have, and the numbers of its solvers.
May import: networks.backbones.
"""
