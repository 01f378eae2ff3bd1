/** The application: configuration, data, models, trainer, checkpoints, the heddle command. */
@org.jspecify.annotations.NullMarked
module dev.heddle.train {
  requires transitive dev.heddle.parallel;
  requires info.picocli;
  requires java.desktop;
  requires org.knowm.xchart;
  requires org.snakeyaml.engine.v2;
  requires tools.jackson.core;
  requires static org.jspecify;

  exports dev.heddle.train.checkpoint;
  exports dev.heddle.train.config;
  exports dev.heddle.train.dataset;
}
