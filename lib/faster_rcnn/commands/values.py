"""Types of options: what their texts may be, and what they become."""
import argparse


def gpu_or_cpu(text):
    """The type of --gpu: a whole number, or "cpu"."""
    if text.lower() == "cpu":
        return "cpu"
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f'"{text}" is neither the number of a GPU nor cpu')
    return int(text)


def side_and_cap(text):
    """The type of --scale: "480" or "480,800" -> (side, cap or None)."""
    numbers = text.split(",")
    if len(numbers) > 2 or not all(n.strip().isdigit() and int(n) > 0 for n in numbers):
        raise argparse.ArgumentTypeError(f'"{text}" is not SIDE or SIDE,CAP in pixels')
    return int(numbers[0]), int(numbers[1]) if len(numbers) > 1 else None


def per_step(kind, count):
    """The type of options with a value per training step: "a,b,c,d", or "a" for all of them."""
    def parse_values(text):
        try:
            values = tuple(kind(part) for part in text.split(","))
        except ValueError:
            values = ()
        if len(values) not in (1, count) or not all(value > 0 for value in values):
            words = {4: "four", 5: "five"}[count]
            raise argparse.ArgumentTypeError(
                f'"{text}" is not one positive number or {words}, separated by commas')
        return values * count if len(values) == 1 else values
    return parse_values


def positive(kind):
    """The type of options with one positive number."""
    def parse_positive(text):
        try:
            value = kind(text)
        except ValueError:
            value = 0
        if not value > 0:
            raise argparse.ArgumentTypeError(f'"{text}" is not a positive number')
        return value
    return parse_positive


def flag(text):
    """The type of --wait: the words for no are false, whatever else true."""
    return text.strip().lower() not in ("", "0", "no", "false", "off")
