"""How several images share the blobs of a net with an RPN.

im_info is (N, 3), a row per image. With one image gt_boxes is (G, 5), x1, y1, x2, y2, class, as in
py-faster-rcnn; with several it is (G, 6), the last column being the index of the box's image.
"""
import torch

from caffe.core.errors import InputError


def boxes_of_images(gt_boxes: torch.Tensor, num_images: int,
                    layer_name: str) -> list[torch.Tensor]:
    """The boxes (G, 5) of each image; ValueError when gt_boxes does not say which image each is in.
    """
    if num_images == 1 and gt_boxes.shape[1] == 5:
        return [gt_boxes]
    if gt_boxes.shape[1] != 6:
        raise InputError(f'layer "{layer_name}": {num_images} images need gt_boxes (G, 6), the '
                         "last column being the image's index; received (G, "
                         f"{gt_boxes.shape[1]}), which is for one image per batch")
    return [gt_boxes[gt_boxes[:, 5] == image, :5] for image in range(num_images)]


def check_info(im_info: torch.Tensor, num_images: int, layer_name: str) -> None:
    """ValueError unless im_info has a row per image."""
    if len(im_info) != num_images:
        raise InputError(f'layer "{layer_name}": im_info has {len(im_info)} rows for '
                         f"{num_images} images; one per image was expected")


def with_image(boxes: torch.Tensor, image: int) -> torch.Tensor:
    """Boxes (R, 4) as rois (R, 5) of the image with an index."""
    return torch.cat([boxes.new_full((len(boxes), 1), image), boxes], 1)
