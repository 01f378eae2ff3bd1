package dev.heddle.train.dataset;

import dev.heddle.train.dataset.CounterHash.Purpose;

/**
 * How far a training picture may differ from the drawing. Small moves and colour changes only: a
 * mirrored arrow or a recoloured heart has another name.
 *
 * @param shift largest move along each side, in parts of the side
 * @param scale largest change of size, 0.1 is 90 % to 110 %
 * @param rotation largest turn, in degrees
 * @param contrast largest change of the distance from white, 0.1 is 90 % to 110 %; the background
 *     stays white, as it is in every drawing
 * @param saturation largest change of the distance from the pixel's own grey
 */
public record Augmentation(
    float shift, float scale, float rotation, float contrast, float saturation) {

  /** The drawing as it is. */
  public static final Augmentation NONE = new Augmentation(0, 0, 0, 0, 0);

  /** What training uses: about two of 32 pixels, and colours between the two drawing styles. */
  public static final Augmentation TRAINING = new Augmentation(0.06f, 0.08f, 5f, 0.2f, 0.3f);

  /** One draw of an augmentation. */
  record Change(float dx, float dy, float zoom, float turn, float contrast, float saturation) {
    /** Leaves the drawing as it is. */
    static final Change NONE = new Change(0, 0, 1, 0, 1, 1);
  }

  /** The change that an example gets in an epoch: the same on every rank. */
  Change draw(long seed, int epoch, int example) {
    if (equals(NONE)) {
      return Change.NONE;
    }
    return new Change(
        pick(seed, epoch, example, 0, 0, shift),
        pick(seed, epoch, example, 1, 0, shift),
        pick(seed, epoch, example, 2, 1, scale),
        (float) Math.toRadians(pick(seed, epoch, example, 3, 0, rotation)),
        pick(seed, epoch, example, 4, 1, contrast),
        pick(seed, epoch, example, 5, 1, saturation));
  }

  private static float pick(
      long seed, int epoch, int example, int draw, float middle, float distance) {
    long bits = CounterHash.bits(seed, Purpose.AUGMENTATION, epoch, example, draw);
    return CounterHash.uniform(bits, middle - distance, middle + distance);
  }
}
