package dev.heddle.train.config;

import java.util.List;

/**
 * What the configuration language can say and this version cannot run yet. The only place that
 * knows: when a capability arrives, its check is deleted here and nothing else changes.
 */
final class Capabilities {
  private Capabilities() {}

  static void check(RunConfig config, Provenance provenance, List<ConfigProblem> problems) {
    ParallelConfig parallel = config.parallel();
    size("parallel.vision.cp", parallel.vision().cp(), provenance, problems);
    size("parallel.vision.pp", parallel.vision().pp(), provenance, problems);
    size("parallel.language.cp", parallel.language().cp(), provenance, problems);
    size("parallel.language.pp", parallel.language().pp(), provenance, problems);
  }

  private static void size(
      String key, int size, Provenance provenance, List<ConfigProblem> problems) {
    if (size > 1) {
      problems.add(new ConfigProblem(provenance.locate(key), "not supported by this version", "1"));
    }
  }
}
