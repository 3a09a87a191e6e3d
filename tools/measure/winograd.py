"""Winograd's convolution beside oneDNN's (F.conv2d, channels_last): time, error against float64.

    table(VGG16, repeats=5)       a dictionary per layer

Both sides have their weights and bias, ours packed beforehand, and run in turn; the fastest runs
count. With one thread it is the thread's own time, which other work on the machine disturbs less.
"""
import time

import torch
import torch.nn.functional as F

from caffe.operators.winograd import winograd_conv, winograd_pack

# layer, how often, channels, outputs, height, width: the 3 x 3 layers with more than 3 channels
VGG16 = (("conv1_2", 1, 64, 64, 600, 800), ("conv2_1", 1, 64, 128, 300, 400),
         ("conv2_2", 1, 128, 128, 300, 400), ("conv3_1", 1, 128, 256, 150, 200),
         ("conv3_2", 2, 256, 256, 150, 200), ("conv4_1", 1, 256, 512, 75, 100),
         ("conv4_2", 2, 512, 512, 75, 100), ("conv5_1", 3, 512, 512, 38, 50))
TILES = (2, 4, 6)
CROP = 66       # float64 is computed of so many rows and columns only


def operands(channels, outputs, height, width, generator):
    """x as after a ReLU, He's weights, a bias."""
    x = torch.randn(1, channels, height, width, generator=generator).relu_()
    weight = torch.randn(outputs, channels, 3, 3, generator=generator) * (2 / 9 / channels) ** 0.5
    return (x.contiguous(memory_format=torch.channels_last),
            weight.contiguous(memory_format=torch.channels_last),
            torch.randn(outputs, generator=generator))


def forms(x, weight, bias, tiles=TILES):
    """{name: the convolution by oneDNN, by F(m x m, 3 x 3), the packing, the gradient of x}"""
    packed = {tile: winograd_pack(weight, tile) for tile in tiles}
    made = {"oneDNN": lambda: F.conv2d(x, weight, bias, padding=1)}
    for tile in tiles:
        made[f"F({tile})"] = lambda tile=tile: winograd_conv(x, packed[tile], bias)
    made["pack"] = lambda: winograd_pack(weight)
    return made


def fastest(functions, repeats):
    """{name: seconds}, the functions taking turns."""
    clock = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
    times = {name: float("inf") for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            begin = clock()
            function()
            times[name] = min(times[name], clock() - begin)
    return times


def errors(x, weight, bias, functions):
    """{name: largest difference from float64 as a share of the largest value}, in a corner."""
    height, width = (min(CROP, size) for size in x.shape[2:])
    exact = F.conv2d(x[..., :height, :width].double(), weight.double(), bias.double(), padding=1)
    rows = slice(0, height - (height < x.shape[2])), slice(0, width - (width < x.shape[3]))
    exact = exact[:, :, rows[0], rows[1]]
    return {name: float((function()[:, :, rows[0], rows[1]] - exact).abs().max()
                        / exact.abs().max())
            for name, function in functions.items() if name != "pack"}


@torch.no_grad()
def table(layers, repeats):
    """Yields {"layer", "count", "shape", "times", "error"} of each; the last two by name."""
    generator = torch.Generator().manual_seed(0)
    for layer, count, *shape in layers:
        given = operands(*shape, generator)
        functions = forms(*given)
        yield {"layer": layer, "count": count, "shape": shape,
               "times": fastest(functions, repeats), "error": errors(*given, functions)}


def show(layers, repeats):
    """Prints the table, then the sums over all layers."""
    names, sums = ["oneDNN", *(f"F({tile})" for tile in TILES)], {}
    print("layer     channels    map        " + "".join(f"{name:>9}" for name in names)
          + "   pack ms    ratio of F(4)    error: " + "".join(f"{name:>9}" for name in names))
    for row in table(layers, repeats):
        times, (channels, outputs, height, width) = row["times"], row["shape"]
        for name, seconds in times.items():
            sums[name] = sums.get(name, 0) + row["count"] * seconds
        print(f"{row['layer']:<9} {channels:>3} {outputs:>4}   {height:>4} x{width:>4}  "
              + "".join(f"{times[name] * 1e3:9.1f}" for name in names)
              + f"{times['pack'] * 1e3:9.1f}    {times['oneDNN'] / times['F(4)']:9.2f}" + " " * 15
              + "".join(f"{row['error'][name]:9.1e}" for name in names), flush=True)
    print("all, as often as they occur        "[:34]
          + "".join(f"{sums[name] * 1e3:9.1f}" for name in names)
          + f"{sums['pack'] * 1e3:9.1f}    {sums['oneDNN'] / sums['F(4)']:9.2f}")
