package dev.heddle.train.report;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.ToDoubleFunction;

/**
 * {@code report.html}: one file that needs nothing beside it, no network and no script, readable in
 * light and dark.
 */
public final class HtmlReport {
  private final RunReport report;
  private final StringBuilder page = new StringBuilder();

  private HtmlReport(RunReport report) {
    this.report = report;
  }

  /** The report as a page. */
  public static String render(RunReport report) {
    return new HtmlReport(report).page();
  }

  private String page() {
    page.append(
        """
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        <title>%s</title>
        <style>
        %s</style>
        </head>
        <body>
        <main>
        <h1>%s</h1>
        """
            .formatted(Html.escape(report.title()), STYLE, Html.escape(report.title())));
    facts();
    results();
    captions();
    charts();
    verbatim("Layout", report.layout());
    verbatim("Configuration", report.configuration());
    environment();
    page.append("</main>\n</body>\n</html>\n");
    return page.toString();
  }

  private void facts() {
    page.append("<dl class=\"facts\">\n");
    report
        .facts()
        .forEach(
            (name, value) ->
                page.append(
                    "<div><dt>%s</dt><dd>%s</dd></div>\n"
                        .formatted(Html.escape(name), Html.escape(value))));
    page.append("</dl>\n");
  }

  private void results() {
    if (report.results().isEmpty()) {
      return;
    }
    page.append(
        """
        <section>
        <h2>Results</h2>
        <p class="note">Beside the caption prior: the same language model without a picture.</p>
        <div class="scroll"><table>
        <thead>
        <tr><th rowspan="2">question</th><th rowspan="2" class="n">pictures</th>\
        <th colspan="2" class="g">word F1</th><th colspan="2" class="g">exact match</th></tr>
        <tr><th class="n">model</th><th class="n">prior</th>\
        <th class="n">model</th><th class="n">prior</th></tr>
        </thead>
        <tbody>
        """);
    for (RunReport.Result result : report.results()) {
      page.append("<tr><td>").append(Html.escape(result.question())).append("</td>");
      page.append("<td class=\"n\">").append(result.pictures()).append("</td>");
      compared(result.wordF1(), result.baselineWordF1());
      compared(result.exactMatch(), result.baselineExactMatch());
      page.append("</tr>\n");
    }
    page.append("</tbody></table></div>\n</section>\n");
  }

  private void compared(double model, double baseline) {
    page.append(
        "<td class=\"n%s\">%s</td><td class=\"n dim\">%s</td>"
            .formatted(model > baseline ? " better" : "", percent(model), percent(baseline)));
  }

  private static String percent(double share) {
    return Double.isNaN(share) ? "-" : String.format(Locale.ROOT, "%.1f %%", 100 * share);
  }

  private void captions() {
    if (report.captions().isEmpty()) {
      return;
    }
    page.append(
        """
        <section>
        <h2>Captions of held-out pictures</h2>
        <p class="note">What the picture shows, and what the model wrote; \
        <mark>marked</mark> words are right.</p>
        <div class="grid">
        """);
    for (RunReport.Caption caption : report.captions()) {
      String truth = String.join(" ", caption.truth());
      page.append(
          """
          <figure><img src="%s" alt="%s" width="96" height="96">\
          <figcaption><span class="dim">%s</span><br>%s</figcaption></figure>
          """
              .formatted(
                  Html.png(caption.pixels()),
                  Html.escape(truth),
                  Html.escape(truth),
                  written(caption)));
    }
    page.append("</div>\n</section>\n");
  }

  private static String written(RunReport.Caption caption) {
    if (caption.written().isEmpty()) {
      return "<em>nothing</em>";
    }
    List<String> left = new ArrayList<>(caption.truth());
    StringBuilder text = new StringBuilder();
    for (String word : caption.written()) {
      String safe = Html.escape(word);
      text.append(text.isEmpty() ? "" : " ");
      text.append(left.remove(word) ? "<mark>" + safe + "</mark>" : safe);
    }
    return text.toString();
  }

  private void charts() {
    if (report.metrics().isEmpty()) {
      return;
    }
    page.append("<section>\n<h2>Training</h2>\n<div class=\"charts\">\n");
    chart("Loss", "mean over valid tokens", StepMetrics::loss, false, true);
    chart("Throughput", "text tokens a second", StepMetrics::tokensPerSecond, true, true);
    chart("Gradient norm", "before clipping", StepMetrics::gradNorm, true, true);
    chart("Learning rate", "of the update", StepMetrics::learningRate, true, false);
    page.append("</div>\n</section>\n");
  }

  private void chart(
      String title,
      String note,
      ToDoubleFunction<StepMetrics> value,
      boolean fromZero,
      boolean smoothed) {
    double[] steps = report.metrics().stream().mapToDouble(StepMetrics::step).toArray();
    double[] values = report.metrics().stream().mapToDouble(value).toArray();
    page.append(
        "<figure class=\"card\"><figcaption><b>%s</b> <span class=\"dim\">%s</span></figcaption>\n"
            .formatted(title, note));
    page.append(
        new LineChart(title + " over the steps", steps, values, fromZero, smoothed).toSvg());
    page.append("</figure>\n");
  }

  private void verbatim(String title, String text) {
    if (!text.isBlank()) {
      page.append(
          "<section>\n<h2>%s</h2>\n<pre class=\"card\">%s</pre>\n</section>\n"
              .formatted(title, Html.escape(text.stripTrailing())));
    }
  }

  private void environment() {
    if (report.environment().isEmpty()) {
      return;
    }
    page.append("<section>\n<h2>Environment</h2>\n<div class=\"scroll\"><table>\n");
    for (Map.Entry<String, String> entry : report.environment().entrySet()) {
      page.append(
          "<tr><th scope=\"row\">%s</th><td>%s</td></tr>\n"
              .formatted(Html.escape(entry.getKey()), Html.escape(entry.getValue())));
    }
    page.append("</table></div>\n</section>\n");
  }

  private static final String STYLE =
      """
      :root { --back: #ffffff; --text: #1c2024; --dim: #667079; --line: #dfe3e6;
        --card: #f6f7f8; --accent: #0b6bcb; --mark: #d3f0da; --good: #18794e; }
      @media (prefers-color-scheme: dark) {
        :root { --back: #15181b; --text: #e6e9ec; --dim: #98a2ab; --line: #30363b;
          --card: #1d2125; --accent: #6cb2ff; --mark: #1f4d31; --good: #5bd08c; } }
      * { box-sizing: border-box; }
      body { margin: 0; background: var(--back); color: var(--text);
        font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
      main { max-width: 1080px; margin: 0 auto; padding: 32px 20px 64px; }
      h1 { font-size: 28px; line-height: 1.2; margin: 0 0 16px; }
      h2 { font-size: 19px; margin: 40px 0 8px; }
      .note, .dim { color: var(--dim); }
      .note { margin: 0 0 12px; }
      .facts { display: flex; flex-wrap: wrap; gap: 12px; margin: 0; }
      .facts div { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
        padding: 8px 14px; }
      dt { color: var(--dim); font-size: 13px; }
      dd { margin: 0; font-size: 18px; font-variant-numeric: tabular-nums; }
      .scroll { overflow-x: auto; }
      table { border-collapse: collapse; }
      th, td { text-align: left; font-weight: normal; padding: 6px 14px 6px 0;
        border-bottom: 1px solid var(--line); }
      th { color: var(--dim); font-size: 14px; }
      .n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; padding-left: 14px; }
      .g { text-align: center; }
      .better { color: var(--good); font-weight: 600; }
      mark { background: var(--mark); color: inherit; border-radius: 3px; padding: 0 3px; }
      .grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr));
        gap: 14px; }
      figure { margin: 0; }
      .grid figure, .card { background: var(--card); border: 1px solid var(--line);
        border-radius: 8px; padding: 12px; }
      .grid img { display: block; margin: 0 auto 8px; background: #ffffff; border-radius: 6px;
        image-rendering: pixelated; }
      .grid figcaption { font-size: 14px; line-height: 1.4; overflow-wrap: anywhere; }
      .charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr));
        gap: 14px; }
      .chart { display: block; width: 100%; height: auto; }
      .chart text { fill: var(--dim); font-size: 13px; }
      .chart line { stroke: var(--line); stroke-width: 1; }
      .chart path { fill: none; stroke: var(--accent); stroke-linejoin: round; }
      .chart .values { stroke-width: 1.2; opacity: 0.45; }
      .chart .mean { stroke-width: 2.2; }
      pre { overflow-x: auto; font: 13px/1.45 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
      """;
}
