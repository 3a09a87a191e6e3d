"""Protobuf messages as prototxt text the way people write it: short blocks on one line."""
import re

from google.protobuf import text_format
from google.protobuf.message import Message

from caffe.proto.caffe_pb2 import NetParameter

WIDTH = 88
_WHOLE = re.compile(r"(: -?\d+)\.0$")  # lr_mult: 1.0


def message_text(message: Message) -> str:
    """The message in text form; every nested block that fits is on one line.

    Lines end at line feeds alone: a name may hold what str.splitlines takes for an end.
    """
    lines, opened = [], []
    for line in text_format.MessageToString(message, as_utf8=True).split("\n")[:-1]:
        line = _WHOLE.sub(r"\1", line).replace("\\'", "'")
        lines.append(line)
        if line.endswith("{"):
            opened.append(len(lines) - 1)
        elif line.strip() == "}":
            start = opened.pop()
            joined = " ".join([lines[start]] + [part.strip() for part in lines[start + 1:]])
            if len(joined) <= WIDTH:
                lines[start:] = [joined]
    return "".join(line + "\n" for line in lines)


def net_text(net: NetParameter, comments: dict[str, str] | None = None) -> str:
    """A NetParameter as text: name, inputs, then a block per layer with one line per short field.

    comments: {layer name: text of a heading above that layer}.
    """
    head = type(net)()
    head.CopyFrom(net)
    for field in ("input", "input_shape", "layer"):
        head.ClearField(field)
    text = message_text(head)
    for name, shape in zip(net.input, net.input_shape):
        text += message_text(type(net)(input=[name], input_shape=[shape]))
    for layer in net.layer:
        if comments and layer.name in comments:
            text += f"\n# ========= {comments[layer.name]} =========\n\n"
        fields = message_text(layer).split("\n")[:-1]
        text += "layer {\n" + "".join(f"  {line}\n" for line in fields) + "}\n"
    return text
