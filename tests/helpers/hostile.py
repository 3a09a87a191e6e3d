"""Names that are no names: what a file made by a stranger may call layers, blobs and classes."""
NAMES = (
    '"; import os; os.abort() #', "'; import os; os.abort() #", '"""\nimport os\nos.abort()\n"""',
    "a\nimport os\nos.abort()", "a\\", '\\"', "a\\\n", "__import__('os').abort()", "__import__",
    "__conv", "_", "", " ", "1", "training", "_modules", "_parameters", "forward", "self", "class",
    "None", "load", "torch", "nn", "Net", "CLASSES", "prepared", "detections", "x" * 300,
    "\u2028}\u2028", "\x85}", "\u202egnp", "\uff58", "ß", "名前", "\u0660", "\x01\x1b[31m",
    "{7*7}", "{{ 7 * 7 }}", "%s%n", "a | b", "<script>alert(1)</script>", "]]>", "*/", "-->",
    'x" layer { name: "y', "../../etc/passwd", "$(reboot)", "`reboot`")
