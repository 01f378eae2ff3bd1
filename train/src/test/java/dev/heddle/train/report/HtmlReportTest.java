package dev.heddle.train.report;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.train.config.DataConfig;
import dev.heddle.train.dataset.DrawingStyle;
import dev.heddle.train.dataset.Emoji;
import dev.heddle.train.dataset.EmojiDataset;
import java.awt.image.BufferedImage;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.StringReader;
import java.util.ArrayList;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.imageio.ImageIO;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Test;
import org.xml.sax.InputSource;

class HtmlReportTest {

  /** A report as a run of 400 steps would leave it; also what a look at the page is made from. */
  static RunReport example() {
    EmojiDataset dataset = EmojiDataset.open(new DataConfig(DataConfig.EMOJI, 10, null), 7);
    List<RunReport.Caption> captions = new ArrayList<>();
    for (int i = 0; i < 12; i++) {
      Emoji emoji = dataset.heldOut().get(i * 15 + 1);
      List<String> written = new ArrayList<>(emoji.words());
      if (i % 3 == 1) {
        written.set(0, "blue");
      }
      if (i == 5) {
        written.clear();
      }
      captions.add(
          new RunReport.Caption(
              dataset.pixels(emoji, DrawingStyle.GOOGLE), emoji.words(), written));
    }
    List<StepMetrics> metrics = new ArrayList<>();
    for (int step = 1; step <= 400; step++) {
      double noise = Math.sin(step * 12.9898) * 0.2;
      metrics.add(
          new StepMetrics(
              step,
              step == 200 ? Double.NaN : 1 + 6 * Math.exp(-step / 60.0) + noise,
              140,
              3 * Math.exp(-step / 100.0) + Math.abs(noise),
              1e-3 * Math.min(1, step / 20.0) * (1 + Math.cos(Math.PI * step / 400)) / 2,
              step == 1 ? 2.0 : 0.9 + noise / 3,
              123456789));
    }
    Map<String, String> facts = new LinkedHashMap<>();
    facts.put("steps", "400");
    facts.put("time", "6m 40s");
    facts.put("parameters", "7,412,224");
    facts.put("last loss", "1.01");
    return new RunReport(
        "emoji-captions <&\"'>",
        facts,
        List.of(
            new RunReport.Result("held-out emoji, Google drawings", 191, 0.31, 0.08, 0.12, 0.01),
            new RunReport.Result("trained emoji, Twitter drawings", 1720, 0.42, 0.2, 0.13, 0.01),
            new RunReport.Result(
                "held-out emoji, Twitter drawings", 191, 0.1, Double.NaN, 0.12, 0.01)),
        captions,
        metrics,
        "vision    ranks 0-1  dp 2\nlanguage  ranks 0-1  tp 2\n",
        "seed: 7\noutput: runs/<x>\n",
        Map.of("JDK", "25 & more"));
  }

  private static final String PAGE = HtmlReport.render(example());

  @Test
  void render_isWellFormedAndNeedsNothingBesideIt() throws Exception {
    // The page is written so that it is XML too but for the doctype and the void elements.
    String xml =
        PAGE.replace("<!DOCTYPE html>", "").replaceAll("<(meta|img|br)([^>]*)>", "<$1$2/>");
    DocumentBuilderFactory.newInstance()
        .newDocumentBuilder()
        .parse(new InputSource(new StringReader(xml)));
    assertThat(PAGE).doesNotContain("http:", "https:", "<script", "<link", "@import");
    Matcher source = Pattern.compile("(?:src|href)=\"([^\"]{0,30})").matcher(PAGE);
    while (source.find()) {
      assertThat(source.group(1)).startsWith("data:image/png;base64,");
    }
  }

  @Test
  void render_escapesWhatComesFromOutside() {
    assertThat(PAGE)
        .contains("<h1>emoji-captions &lt;&amp;&quot;&#39;&gt;</h1>")
        .contains("output: runs/&lt;x&gt;")
        .contains("25 &amp; more")
        .doesNotContain("<x>");
  }

  @Test
  void render_showsResultsBesideTheBaseline() {
    assertThat(PAGE)
        .contains(
            "<tr><td>held-out emoji, Google drawings</td><td class=\"n\">191</td>"
                + "<td class=\"n better\">31.0 %</td><td class=\"n dim\">12.0 %</td>"
                + "<td class=\"n better\">8.0 %</td><td class=\"n dim\">1.0 %</td></tr>")
        .contains(
            "<td class=\"n\">10.0 %</td><td class=\"n dim\">12.0 %</td>"
                + "<td class=\"n\">-</td><td class=\"n dim\">1.0 %</td></tr>");
  }

  @Test
  void render_marksTheWordsThatAreRightAndShowsEveryPicture() throws IOException {
    Matcher picture = Pattern.compile("src=\"data:image/png;base64,([^\"]+)\"").matcher(PAGE);
    List<RunReport.Caption> captions = example().captions();
    int count = 0;
    while (picture.find()) {
      BufferedImage image =
          ImageIO.read(new ByteArrayInputStream(Base64.getDecoder().decode(picture.group(1))));
      int[] pixels = image.getRGB(0, 0, 32, 32, null, 0, 32);
      for (int i = 0; i < pixels.length; i++) {
        pixels[i] &= 0xffffff;
      }
      assertThat(pixels).isEqualTo(captions.get(count).pixels());
      count++;
    }
    assertThat(count).isEqualTo(12);
    RunReport.Caption wrongFirst = captions.get(1);
    assertThat(PAGE)
        .contains("<mark>" + captions.getFirst().written().getFirst() + "</mark>")
        .contains("<br>" + wrongFirst.written().getFirst())
        .contains("<em>nothing</em>");
  }

  @Test
  void render_drawsFourCurvesAndBreaksThemWhereAValueIsMissing() {
    assertThat(PAGE.split("<svg ", -1)).hasSize(5);
    Matcher values = Pattern.compile("class=\"values\" d=\"([^\"]*)\"").matcher(PAGE);
    assertThat(values.find()).isTrue();
    assertThat(values.group(1).split("M", -1)).as("the loss in two pieces").hasSize(3);
    assertThat(values.group(1).split("[ML]", -1)).hasSize(400);
    assertThat(PAGE).doesNotContain("NaN", "Infinity");
  }

  @Test
  void render_aRunWithoutSteps_leavesTheSectionsOut() {
    RunReport empty =
        new RunReport("x", Map.of(), List.of(), List.of(), List.of(), "", "", Map.of());
    assertThat(HtmlReport.render(empty)).doesNotContain("<section>");
  }

  @Test
  void chart_ofOneConstantOrNoValues_isDrawnOrSaysSo() {
    assertThat(new LineChart("one", new double[] {1}, new double[] {5}, false, true).toSvg())
        .contains("<path")
        .doesNotContain("NaN");
    assertThat(new LineChart("zero", new double[] {1, 2}, new double[] {0, 0}, true, true).toSvg())
        .contains("<path")
        .doesNotContain("NaN");
    assertThat(
            new LineChart("broken", new double[] {1}, new double[] {Double.NaN}, false, true)
                .toSvg())
        .contains("nothing to draw");
    assertThat(
            new LineChart("small", new double[] {1, 2}, new double[] {0, 2.4e-4}, true, false)
                .toSvg())
        .contains(">5e-05<", ">1e-04<", ">1.5e-04<", ">2e-04<");
    assertThat(LineChart.ticks(0.3, 4.1, 5)).containsExactly(0.0, 1.0, 2.0, 3.0, 4.0, 5.0);
  }

  @Test
  void png_ofPixelsThatAreNoSquare_isRefused() {
    assertThatThrownBy(() -> Html.png(new int[5])).hasMessageContaining("not a square");
  }
}
