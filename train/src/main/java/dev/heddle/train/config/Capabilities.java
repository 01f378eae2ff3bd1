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
    config
        .parallel()
        .placements()
        .forEach(
            (name, placement) -> {
              String parallel = "parallel." + name;
              capabilities.only(parallel + ".cp", placement.cp() == 1, "1");
              capabilities.only(parallel + ".pp", placement.pp() == 1, "1");
              capabilities.only(parallel + ".chunks", placement.division().chunks() == 1, "1");
              capabilities.only(
                  parallel + ".sequenceParallel",
                  !placement.division().sequenceParallel(),
                  "false");
              capabilities.only(
                  parallel + ".shardOptimizer", !placement.division().shardOptimizer(), "false");
            });
    ModelConfig.Language language = config.model().language();
    capabilities.only("model.language.tiedEmbeddings", !language.tiedEmbeddings(), "false");
    capabilities.only("model.language.recompute", !language.recompute(), "false");
    capabilities.only("model.vision.recompute", !config.model().vision().recompute(), "false");
    capabilities.only("data.packed", !config.data().packed(), "false");
    capabilities.only("data.textOnly", config.data().textOnly() == 0, "0");
    capabilities.only("train.lossScale", config.train().lossScale() == 1, "1");
    config
        .train()
        .components()
        .forEach(
            (name, component) -> {
              String train = "train." + name;
              capabilities.only(train + ".frozen", !component.frozen(), "false");
              if (component.learningRate() != null) {
                capabilities.only(train + ".learningRate", false, "nothing");
              }
            });
  }

  private void only(String key, boolean works, String accepted) {
    if (!works) {
      problems.add(
          new ConfigProblem(provenance.locate(key), "not supported by this version", accepted));
    }
  }
}
