"""Whether converted weights give the scores that their own program gives, for a drawn picture."""
import numpy as np


def picture(height: int = 96, width: int = 160) -> np.ndarray:
    """(H, W, 3) uint8, blue green red: smooth waves and edges."""
    y, x = np.mgrid[:height, :width].astype(np.int64)
    return np.stack([(x * x + 3 * y) // 16 % 256, (5 * x + y * y // 8) % 256,
                     (x * y // 32 + 7 * (x // 24)) % 256], 2).astype(np.uint8)
