package dev.heddle.ops;

import dev.heddle.autograd.Tensor;

/**
 * An image cut into square patches, one row each (Dosovitskiy et al., "An image is worth 16x16
 * words", 2021). [B,C,H,W] -> [B,H/p W/p,C p p], patches row by row, a patch's values in the order
 * (channel, row, column) of a convolution's weight.
 *
 * <p>A permutation of elements: {@link Reshape} and {@link Transpose}, one copy.
 */
public final class Patchify {
  private Patchify() {}

  /** The patches of images [B,C,H,W]; H and W are multiples of {@code patchSize}. */
  public static Tensor patchify(Tensor images, long patchSize) {
    check("Patchify.patchify", images, patchSize, 2, "[B,C,H,W]");
    long channels = images.dim(1);
    long down = images.dim(2) / patchSize;
    long across = images.dim(3) / patchSize;
    Tensor cut =
        Reshape.reshape(images, images.dim(0), channels, down, patchSize, across, patchSize);
    return Reshape.reshape(
        Transpose.permute(cut, 0, 2, 4, 1, 3, 5),
        images.dim(0),
        down * across,
        channels * patchSize * patchSize);
  }

  /** The same patches, from images whose channels are innermost: [B,H,W,C]. */
  public static Tensor patchifyChannelsLast(Tensor images, long patchSize) {
    check("Patchify.patchifyChannelsLast", images, patchSize, 1, "[B,H,W,C]");
    long channels = images.dim(3);
    long down = images.dim(1) / patchSize;
    long across = images.dim(2) / patchSize;
    Tensor cut =
        Reshape.reshape(images, images.dim(0), down, patchSize, across, patchSize, channels);
    return Reshape.reshape(
        Transpose.permute(cut, 0, 1, 3, 5, 2, 4),
        images.dim(0),
        down * across,
        channels * patchSize * patchSize);
  }

  private static void check(
      String operator, Tensor images, long patchSize, int heightDim, String form) {
    if (images.rank() != 4
        || patchSize <= 0
        || images.dim(heightDim) % patchSize != 0
        || images.dim(heightDim + 1) % patchSize != 0) {
      throw Refusal.of(
          operator,
          "images",
          images,
          form + " with H and W multiples of the patch size " + patchSize,
          "Resize the images or choose a patch size that divides them.");
    }
  }
}
