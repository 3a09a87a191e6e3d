"""Small real databases, lists of images, HDF5 and window files for the tests of data layers."""
import cv2
import h5py
import numpy as np

from caffe.files import databases
from caffe.files import images as image_files
from caffe.proto import caffe_pb2


def pictures(count, height=6, width=8, seed=0):
    """Images (H, W, 3) uint8 of random values."""
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(count)]


def write_database(path, images, labels=None, backend="lmdb", encode=None):
    """A database of Datums; encode: ".png" to keep them compressed, None for plain values."""
    with databases.new_database(path, backend) as database:
        for i, image in enumerate(images):
            datum = image_files.image_datum(image, i if labels is None else labels[i])
            if encode:
                datum.Clear()
                datum.data, datum.encoded = cv2.imencode(encode, image)[1].tobytes(), True
                datum.label = i if labels is None else labels[i]
            database.put(b"%08d" % i, datum.SerializeToString())
    return path


def annotated_datum(image, objects, has_type=True, encode=None):
    """An AnnotatedDatum; objects: rows (label, instance, x1, y1, x2, y2, difficult)."""
    record = caffe_pb2.AnnotatedDatum(datum=image_files.image_datum(image, 0))
    if encode:
        record.datum.data, record.datum.encoded = cv2.imencode(encode, image)[1].tobytes(), True
    if has_type:
        record.type = caffe_pb2.AnnotatedDatum.BBOX
    for label, instance, x1, y1, x2, y2, difficult in objects:
        group = record.annotation_group.add(group_label=label)
        box = caffe_pb2.NormalizedBBox(xmin=x1, ymin=y1, xmax=x2, ymax=y2, difficult=difficult)
        group.annotation.add(instance_id=instance, bbox=box)
    return record


def write_annotated(path, images, objects, **options):
    """An LMDB of AnnotatedDatums."""
    with databases.new_database(path, "lmdb") as database:
        for i, (image, rows) in enumerate(zip(images, objects)):
            database.put(b"%08d" % i, annotated_datum(image, rows, **options).SerializeToString())
    return path


def write_pairs(folder, images, labels):
    """PNG files 0.png, 0_labels.png, ... and list.txt with the lines "0.png 0_labels.png"."""
    for i, (image, one) in enumerate(zip(images, labels)):
        assert cv2.imwrite(str(folder / f"{i}.png"), image)
        assert cv2.imwrite(str(folder / f"{i}_labels.png"), one)
    (folder / "list.txt").write_text("".join(f"{i}.png {i}_labels.png\n"
                                             for i in range(len(images))))
    return folder / "list.txt"


def write_images(folder, images, labels=None):
    """PNG files 0.png, 1.png, ... and list.txt with the lines "0.png label"; gives the list."""
    for i, image in enumerate(images):
        assert cv2.imwrite(str(folder / f"{i}.png"), image)
    labels = range(len(images)) if labels is None else labels
    lines = [f"{i}.png {label}\n" for i, label in enumerate(labels)]
    (folder / "list.txt").write_text("".join(lines))
    return folder / "list.txt"


def write_hdf5(folder, *files):
    """a.h5, b.h5, ... from dicts {dataset: array}, and list.txt, which names them; gives it."""
    paths = [folder / f"{'abcdef'[i]}.h5" for i in range(len(files))]
    for path, datasets in zip(paths, files):
        with h5py.File(path, "w") as file:
            for name, values in datasets.items():
                file[name] = values
    (folder / "list.txt").write_text("\n".join(map(str, paths)))
    return folder / "list.txt"


def write_windows(folder, images, windows):
    """PNG files and windows.txt; windows: per image rows (class, overlap, x1, y1, x2, y2)."""
    write_images(folder, images)
    parts = []
    for i, (image, rows) in enumerate(zip(images, windows)):
        height, width, channels = image.shape
        parts += [f"# {i}", folder / f"{i}.png", channels, height, width, len(rows)]
        parts += [" ".join(map(str, row)) for row in rows]
    (folder / "windows.txt").write_text("\n".join(map(str, parts)) + "\n")
    return folder / "windows.txt"
