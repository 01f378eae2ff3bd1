package dev.heddle.jmh.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.jmh.boundary.Volume;
import java.awt.Color;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TimingsTest {
  @TempDir private Path folder;

  private static Row row(String name, double ours, String peerName) {
    return new Row(name, 1, "f32", ours, 10, peerName, "ms", Double.NaN);
  }

  private static Timings release(String name, String date, Row... rows) {
    return new Timings(name, date, "c0ffee", "a machine", List.of(rows));
  }

  @Test
  void whatIsWritten_isReadAgain_inTheOrderOfDates() throws IOException {
    Timings second = release("0.2.0", "2027-01-01", row("gpt", 5, "libtorch"));
    Row boundary =
        new Row("fan-in", 2, "f32", 7, 8, "copy", "us", 1.1, new Volume(4096, 512, 96, 64));
    Timings first = release("0.1.0", "2026-11-26", row("gpt", 8, "libtorch"), boundary);
    second.write(folder);
    first.write(folder);
    assertThat(Timings.readAll(folder)).containsExactly(first, second);
    assertThat(Timings.readOrEmpty(folder, "0.3.0").rows()).isEmpty();
    assertThat(Files.list(folder)).hasSize(2);
  }

  @Test
  void newerRows_takeThePlaceOfThoseOfTheirName_andOnlyOfThose() {
    Timings old =
        release(
            "0.1.0",
            "2026-11-26",
            row("gpt", 8, "libtorch 2.13, OpenBLAS"),
            row("gpt", 7, "DJL 0.33"),
            row("vit", 9, "libtorch 2.13, OpenBLAS"));
    Timings merged =
        old.with(List.of(row("gpt", 5, "libtorch 2.13, MKL")), "2026-12-01", "beef", "another");
    assertThat(merged.rows())
        .containsExactly(
            row("gpt", 5, "libtorch 2.13, MKL"),
            row("gpt", 7, "DJL 0.33"),
            row("vit", 9, "libtorch 2.13, OpenBLAS"));
    assertThat(merged.date()).isEqualTo("2026-12-01");
    assertThat(merged.commit()).isEqualTo("beef");
  }

  @Test
  void aReleaseThatNamesNoFile_andAFileThatIsCutOff_areRefused() throws IOException {
    assertThatThrownBy(() -> release("../0.1.0", "2026-11-26"))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("../0.1.0");
    release("0.1.0", "2026-11-26", row("gpt", 8, "libtorch")).write(folder);
    Path file = Timings.file(folder, "0.1.0");
    Files.writeString(file, Files.readString(file).substring(0, 60));
    assertThatThrownBy(() -> Timings.readAll(folder))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("0.1.0.json is no file of timings");
  }

  @Test
  void rows_areGatheredByWhatTheyAreAbout() {
    assertThat(TimingsPlot.part(row("all-reduce of 64 KiB", 1, "Open MPI in C")))
        .isEqualTo("collectives, beside Open MPI");
    assertThat(TimingsPlot.part(row("gelu 2048x1536 backward", 1, "libtorch")))
        .isEqualTo("operators");
    assertThat(TimingsPlot.part(row("gpt", 1, "libtorch"))).isEmpty();
    assertThat(TimingsPlot.step(row("gpt", 1, "libtorch"))).isEqualTo("gpt f32, threads: 1");
    assertThat(TimingsPlot.step(row("gpt", 1, "DJL"))).isEmpty();
    assertThat(TimingsPlot.part(row("boundary dp2 to tp2", 1, "plain copy")))
        .isEqualTo("boundaries, beside a copy");
    assertThat(TimingsPlot.part(row("boundary dp2 to tp2 leader", 1, "Heddle, strategy direct")))
        .isEmpty();
    List<Timings> releases =
        List.of(
            release("a", "1", row("add", 10, "x"), row("gelu", 30, "x"), row("norm", 20, "x")),
            release("b", "2", row("add", 5, "x")));
    assertThat(TimingsPlot.series(releases, TimingsPlot::part))
        .containsOnlyKeys("operators")
        .extractingByKey("operators")
        .satisfies(ratios -> assertThat(ratios).containsEntry("a", 2.0).containsEntry("b", 0.5));
  }

  @Test
  void pictures_showMore_whereMoreIsMeasured_alsoWhereAReleaseLacksARow() throws IOException {
    Row gpt = row("gpt", 8, "libtorch");
    Row vit = row("vit", 2, "libtorch");
    int one = colours("steps.png", release("0.1.0", "1", gpt), release("0.2.0", "2", gpt));
    int two = colours("steps.png", release("0.1.0", "1", gpt), release("0.2.0", "2", gpt, vit));
    assertThat(two).isGreaterThan(one);
    int none = colours("parts.png", release("0.1.0", "1", gpt));
    int operators = colours("parts.png", release("0.1.0", "1", gpt, row("gelu", 3, "libtorch")));
    assertThat(operators).isGreaterThan(none);
  }

  /** How many colours a picture has that are not grey: each series brings its own. */
  private int colours(String file, Timings... releases) throws IOException {
    TimingsPlot.draw(List.of(releases), folder);
    BufferedImage picture = ImageIO.read(folder.resolve(file).toFile());
    Set<Integer> colours = new HashSet<>();
    for (int y = 0; y < picture.getHeight(); y++) {
      for (int x = 0; x < picture.getWidth(); x++) {
        Color colour = new Color(picture.getRGB(x, y));
        if (colour.getRed() != colour.getGreen() || colour.getGreen() != colour.getBlue()) {
          colours.add(colour.getRGB());
        }
      }
    }
    return colours.size();
  }
}
