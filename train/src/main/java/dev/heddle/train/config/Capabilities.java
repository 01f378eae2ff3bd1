package dev.heddle.train.config;

import java.util.List;

/**
 * What the configuration language can say and this version cannot run yet. The only place that
 * knows: when a capability arrives, its check is deleted here and nothing else changes.
 */
final class Capabilities {
  private final Provenance provenance;
  private final List<ConfigProblem> problems;

  private Capabilities(Provenance provenance, List<ConfigProblem> problems) {
    this.provenance = provenance;
    this.problems = problems;
  }

  static void check(RunConfig config, Provenance provenance, List<ConfigProblem> problems) {
    Capabilities capabilities = new Capabilities(provenance, problems);
    ModelConfig.Audio audio = config.model().audio();
    if (audio != null) {
      capabilities.only("model.audio.layers", false, "no section model.audio");
    }
  }

  private void only(String key, boolean works, String accepted) {
    if (!works) {
      problems.add(
          new ConfigProblem(provenance.locate(key), "not supported by this version", accepted));
    }
  }
}
