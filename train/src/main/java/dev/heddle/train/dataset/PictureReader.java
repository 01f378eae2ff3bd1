package dev.heddle.train.dataset;

import dev.heddle.train.dataset.Augmentation.Change;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Turns drawings into the numbers that a model sees: 3 x size x size floats, channel by channel,
 * row by row, each channel with about mean 0 and deviation 1 over the training pictures. One reader
 * belongs to one rank: it keeps scratch space, so that reading allocates nothing, and counts what
 * it has read.
 */
public final class PictureReader {
  // Mean and deviation of each channel over the Google drawings on white, one number for all three
  // so that grey stays grey. The data set's test measures them.
  private static final float MEAN = 0.767f;
  private static final float DEVIATION = 0.299f;

  private static final int DRAWING = SpriteSheet.PICTURE;

  private final EmojiDataset dataset;
  private final int size;
  private final int[] pixels = new int[DRAWING * DRAWING];
  private final float[] drawing = new float[3 * DRAWING * DRAWING];
  private final float[] picture;
  private long pictureCount;

  PictureReader(EmojiDataset dataset, int size) {
    this.dataset = dataset;
    this.size = size;
    this.picture = new float[3 * size * size];
  }

  /** Floats of one picture: 3 x size x size. */
  public int pictureLength() {
    return picture.length;
  }

  /** How many pictures were read: what the test of "no rank reads others' samples" looks at. */
  public long pictureCount() {
    return pictureCount;
  }

  /**
   * Reads a picture as training sees it: the Google drawing, changed by (seed, epoch, example).
   *
   * @param sample which training example in which epoch
   * @param target receives the floats
   * @param offset where, in bytes
   */
  public void readTraining(BatchPlan.Sample sample, MemorySegment target, long offset) {
    Emoji emoji = dataset.training().get(sample.example());
    read(emoji, DrawingStyle.GOOGLE, dataset.change(sample), target, offset);
  }

  /**
   * Reads a drawing as it is.
   *
   * @param emoji whose
   * @param style by whom
   * @param target receives the floats
   * @param offset where, in bytes
   */
  public void read(Emoji emoji, DrawingStyle style, MemorySegment target, long offset) {
    read(emoji, style, Change.NONE, target, offset);
  }

  private void read(
      Emoji emoji, DrawingStyle style, Change change, MemorySegment target, long offset) {
    dataset.sheet(style).cut(emoji, pixels);
    pictureCount++;
    unpack();
    if (change.equals(Change.NONE) && size == DRAWING) {
      System.arraycopy(drawing, 0, picture, 0, drawing.length);
    } else {
      sample(change);
    }
    colour(change);
    MemorySegment.copy(
        picture, 0, target, ValueLayout.JAVA_FLOAT_UNALIGNED, offset, picture.length);
  }

  private void unpack() {
    int plane = DRAWING * DRAWING;
    for (int i = 0; i < plane; i++) {
      int pixel = pixels[i];
      drawing[i] = (pixel >> 16 & 255) / 255f;
      drawing[plane + i] = (pixel >> 8 & 255) / 255f;
      drawing[2 * plane + i] = (pixel & 255) / 255f;
    }
  }

  /** Turns, zooms, moves and resizes; pixels outside the drawing are white. */
  private void sample(Change change) {
    // A smaller picture averages over the drawing's pixels that fall into each of its own.
    int taps = Math.max(1, Math.round((float) DRAWING / size));
    float cos = (float) Math.cos(change.turn()) / change.zoom();
    float sin = (float) Math.sin(change.turn()) / change.zoom();
    for (int y = 0; y < size; y++) {
      for (int x = 0; x < size; x++) {
        for (int channel = 0; channel < 3; channel++) {
          picture[(channel * size + y) * size + x] = 0;
        }
        for (int tap = 0; tap < taps * taps; tap++) {
          int tapColumn = tap % taps;
          int tapRow = tap / taps;
          // Middle-centred coordinates in parts of the side.
          float u = (x + (tapColumn + 0.5f) / taps) / size - 0.5f - change.dx();
          float v = (y + (tapRow + 0.5f) / taps) / size - 0.5f - change.dy();
          float column = (cos * u + sin * v + 0.5f) * DRAWING - 0.5f;
          float row = (cos * v - sin * u + 0.5f) * DRAWING - 0.5f;
          add(column, row, x, y, 1f / (taps * taps));
        }
      }
    }
  }

  private void add(float column, float row, int x, int y, float weight) {
    boolean outside =
        column < -0.5f || column > DRAWING - 0.5f || row < -0.5f || row > DRAWING - 0.5f;
    int left = (int) Math.floor(column);
    int top = (int) Math.floor(row);
    float right = column - left;
    float bottom = row - top;
    for (int channel = 0; channel < 3; channel++) {
      float value = 1f;
      if (!outside) {
        float upper = at(channel, top, left) * (1 - right) + at(channel, top, left + 1) * right;
        float lower =
            at(channel, top + 1, left) * (1 - right) + at(channel, top + 1, left + 1) * right;
        value = upper * (1 - bottom) + lower * bottom;
      }
      picture[(channel * size + y) * size + x] += weight * value;
    }
  }

  // Half of a border pixel lies between its middle and the border: it has no neighbour there.
  private float at(int channel, int row, int column) {
    int y = Math.clamp(row, 0, DRAWING - 1);
    int x = Math.clamp(column, 0, DRAWING - 1);
    return drawing[(channel * DRAWING + y) * DRAWING + x];
  }

  private void colour(Change change) {
    int plane = size * size;
    for (int i = 0; i < plane; i++) {
      float grey = (picture[i] + picture[plane + i] + picture[2 * plane + i]) / 3;
      for (int channel = 0; channel < 3; channel++) {
        int at = channel * plane + i;
        float value = grey + (picture[at] - grey) * change.saturation();
        value = 1 - (1 - value) * change.contrast();
        value = Math.clamp(value, 0f, 1f);
        picture[at] = (value - MEAN) / DEVIATION;
      }
    }
  }
}
