"""The plate detector: plain 3x3 convolutions, one anchor-free head at stride 8 that has seen the whole picture.

Centre-point detection after Zhou et al. 2019 (arXiv 1904.07850): a score map with a peak at each plate's centre, and
the box read off at the peak. Coarse maps at strides 16, 32 and 64 are added back in so that a plate of 300 pixels
and one of 12 are found by the same cells.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.ocr_net import block

SCORE_BIAS = -4.6  # a hundredth of the cells hold a plate, at the start of training


class Residual(nn.Module):
    """Two 3x3 blocks around a short cut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(block(width, width), block(width, width))

    def forward(self, x: Tensor) -> Tensor:
        """Return x plus what the body adds."""
        return x + self.body(x)


class DetectNet(nn.Module):
    """Image (B, 3, 384, 512) in 0..1 -> score (B, 1, 48, 64), box (B, 4, 48, 64), corners (B, 8, 48, 64)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(block(3, 32, kernel=(6, 6), stride=4, pad=(1, 1)), block(32, 32))  # 96 x 128
        self.eighth = nn.Sequential(block(32, 64, stride=2), Residual(64))  # 48 x 64
        self.sixteenth = nn.Sequential(block(64, 96, stride=2), Residual(96))  # 24 x 32
        self.thirtysecond = nn.Sequential(block(96, 128, stride=2), Residual(128))  # 12 x 16
        self.sixtyfourth = nn.Sequential(block(128, 128, stride=2), Residual(128))  # 6 x 8
        self.from_64 = nn.Conv2d(128, 128, 1)
        self.at_32 = block(128, 96)
        self.at_16 = block(96, 64)
        self.at_8 = nn.Sequential(block(64, 64), block(64, 64))
        self.score = nn.Conv2d(64, 1, 1)
        self.box = nn.Conv2d(64, 4, 1)
        self.corners = nn.Conv2d(64, 8, 1)
        nn.init.constant_(self.score.bias, SCORE_BIAS)  # type: ignore[arg-type]

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the maps as firmware.detect.decode takes them, channels first."""
        eighth = self.eighth(self.stem(image))
        sixteenth = self.sixteenth(eighth)
        thirtysecond = self.thirtysecond(sixteenth)
        sixtyfourth = self.sixtyfourth(thirtysecond)
        x = thirtysecond + F.interpolate(self.from_64(sixtyfourth), scale_factor=2.0, mode="nearest")
        x = sixteenth + F.interpolate(self.at_32(x), scale_factor=2.0, mode="nearest")
        x = eighth + F.interpolate(self.at_16(x), scale_factor=2.0, mode="nearest")
        x = self.at_8(x)
        return self.score(x), self.box(x), self.corners(x)


def score_loss(logits: Tensor, target: Tensor, asked: Tensor) -> Tensor:
    """Return the penalty-reduced focal loss per plate (Law and Deng 2018, eq. 1); target is 1 at centres.

    Where `asked` is 0 nothing is asked.
    """
    p = torch.sigmoid(logits).clamp(1e-5, 1 - 1e-5)
    positive = target == 1
    at_centres = ((1 - p) ** 2 * p.log())[positive].sum()
    elsewhere = (asked * (1 - target) ** 4 * p**2 * (1 - p).log())[~positive].sum()
    return -(at_centres + elsewhere) / positive.sum().clamp(min=1)


def box_loss(box: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted mean of 1 - GIoU (Rezatofighi et al. 2019) of predicted and true boxes.

    Both are (N, 4): centre offset from the cell in cells, log width and log height in cells; `weight` is (N,).
    """
    low, high = box[:, :2] - box[:, 2:].exp() / 2, box[:, :2] + box[:, 2:].exp() / 2
    true_low, true_high = target[:, :2] - target[:, 2:].exp() / 2, target[:, :2] + target[:, 2:].exp() / 2
    shared = (torch.minimum(high, true_high) - torch.maximum(low, true_low)).clamp(min=0).prod(-1)
    union = (high - low).prod(-1) + (true_high - true_low).prod(-1) - shared
    hull = (torch.maximum(high, true_high) - torch.minimum(low, true_low)).prod(-1)
    giou = shared / union.clamp(min=1e-6) - (hull - union) / hull.clamp(min=1e-6)
    size = F.smooth_l1_loss(box[:, 2:], target[:, 2:], reduction="none", beta=0.1).sum(-1)
    return ((1 - giou + 0.5 * size) * weight).sum() / weight.sum().clamp(min=1e-6)
