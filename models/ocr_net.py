"""The OCR network: plain 3x3 convolutions, two bands of columns for CTC, and a head for the region.

Plain convolutions are what int8 kernels on small Arm cores and bf16 kernels on training CPUs both do best.
"""

import torch
from torch import Tensor, nn

from firmware.ocr import BANDS, BLANK, COLUMNS, REGIONS

WIDTHS = (32, 32, 64, 64, 64, 96, 96, 128, 128)


def block(
    inputs: int,
    outputs: int,
    *,
    kernel: tuple[int, int] = (3, 3),
    stride: int = 1,
    pad: tuple[int, int] = (1, 1),
    dilation: int = 1,
) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, pad, dilation, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


class OcrNet(nn.Module):
    """Image (B, 3, 64, 160) -> text logits (B, 80, 37) and region logits (B, 53)."""

    def __init__(self) -> None:
        super().__init__()
        w = WIDTHS
        self.features = nn.Sequential(
            block(3, w[0], stride=2),  # 32 x 80
            block(w[0], w[1]),
            block(w[1], w[2], stride=2),  # 16 x 40
            block(w[2], w[3]),
            block(w[3], w[4]),
            nn.MaxPool2d((2, 1)),  # 8 x 40
            block(w[4], w[5]),
            block(w[5], w[6]),
        )
        self.deep = nn.Sequential(
            nn.MaxPool2d((2, 1)),  # 4 x 40
            block(w[6], w[7]),
            block(w[7], w[8]),
        )
        wide = 192
        self.columns = block(w[8], wide, kernel=(4, 1), pad=(0, 0))  # 1 x 40: a column sees the whole height
        self.whole = nn.Sequential(nn.Conv2d(w[8], 128, 1), nn.ReLU())
        self.glance = nn.Conv2d(128, wide, 1)  # what kind of plate this is, told to every column
        # Which band a character belongs to may hang on the plate's other end, so the last block spans all columns.
        self.context = nn.Sequential(
            block(wide, wide, kernel=(1, 5), pad=(0, 2)),
            nn.Dropout(0.1),
            block(wide, wide, kernel=(1, 5), pad=(0, 6), dilation=3),
            block(wide, wide, kernel=(1, 5), pad=(0, 12), dilation=6),
        )
        self.text = nn.Conv2d(wide, BANDS * (BLANK + 1), 1)
        # A state shows in where its name and its colours stand, so this head keeps places apart until the end.
        self.region = nn.Sequential(
            block(w[6], 48, stride=2),  # 4 x 20
            block(48, 48),
            block(48, 48, stride=2),  # 2 x 10
            nn.Dropout2d(0.2),
            nn.Conv2d(48, len(REGIONS), (2, 10)),
        )

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits; band 0's forty columns come before band 1's."""
        features = self.features(image)
        deep = self.deep(features)
        columns = self.columns(deep)
        columns = torch.relu(columns + self.glance(self.whole(deep).mean(dim=(2, 3), keepdim=True)))
        columns = columns + self.context(columns)
        text = self.text(columns).reshape(-1, BANDS, BLANK + 1, COLUMNS).permute(0, 1, 3, 2)
        region = self.region(features).reshape(-1, len(REGIONS))
        return text.reshape(-1, BANDS * COLUMNS, BLANK + 1), region
