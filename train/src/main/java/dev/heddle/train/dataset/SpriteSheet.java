package dev.heddle.train.dataset;

import java.awt.image.BufferedImage;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import javax.imageio.ImageIO;

/**
 * A picture of many drawings: cells of 34 by 34 pixels, each a drawing of 32 by 32 with a border of
 * one. Decoded once, kept packed (the shipped sheets are indexed, 4 MB); a drawing is cut out and
 * put on white when it is asked for. Safe for use by many threads.
 */
final class SpriteSheet {
  /** Side of a drawing in pixels. */
  static final int PICTURE = 32;

  private static final int CELL = 34;
  private static final int BORDER = 1;

  private final String name;
  private final BufferedImage image;

  private SpriteSheet(String name, BufferedImage image) {
    this.name = name;
    this.image = image;
  }

  /**
   * Decodes a sheet.
   *
   * @throws DatasetException when it is not a picture
   */
  static SpriteSheet read(DataFiles files, String file) {
    byte[] bytes = files.read(file);
    try {
      // The bytes are in memory already: a cache on the disk would only cost.
      ImageIO.setUseCache(false);
      BufferedImage image = ImageIO.read(new ByteArrayInputStream(bytes));
      if (image == null) {
        throw new DatasetException(files.name(file), "not a picture in a format that Java reads");
      }
      return new SpriteSheet(files.name(file), image);
    } catch (IOException | IndexOutOfBoundsException e) {
      throw new DatasetException(files.name(file), "a damaged picture: " + e.getMessage(), e);
    }
  }

  /**
   * Cuts a drawing out, on white.
   *
   * @param emoji whose drawing
   * @param pixels receives 32 x 32 pixels, row by row, as 0xRRGGBB
   * @throws DatasetException when the sheet has no such cell
   */
  void cut(Emoji emoji, int[] pixels) {
    int x = CELL * emoji.column() + BORDER;
    int y = CELL * emoji.row() + BORDER;
    if (x + PICTURE > image.getWidth() || y + PICTURE > image.getHeight()) {
      throw new DatasetException(
          name,
          "the picture of %d x %d pixels has no cell %d, %d, which line %d of the list names"
              .formatted(
                  image.getWidth(), image.getHeight(), emoji.column(), emoji.row(), emoji.line()));
    }
    image.getRGB(x, y, PICTURE, PICTURE, pixels, 0, PICTURE);
    for (int i = 0; i < pixels.length; i++) {
      pixels[i] = onWhite(pixels[i]);
    }
  }

  private static int onWhite(int argb) {
    int alpha = argb >>> 24;
    int white = 255 * (255 - alpha);
    int red = ((argb >> 16 & 255) * alpha + white + 127) / 255;
    int green = ((argb >> 8 & 255) * alpha + white + 127) / 255;
    int blue = ((argb & 255) * alpha + white + 127) / 255;
    return red << 16 | green << 8 | blue;
  }
}
